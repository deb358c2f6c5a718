//! The documentation matches the code: the order of the stack, the floors of the rooms, and the paths and errors in the
//! pages.
#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a test ends where something is missing"
)]

mod floors;
mod imports;
mod pages;
mod stack;
