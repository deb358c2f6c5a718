//! (to be written)
/// In-memory store.
#[derive(Debug)]
pub struct MemoryStore;
