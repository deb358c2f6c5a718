//! A value in 64 parts, each under a lock of its own.

use parking_lot::{Mutex, MutexGuard};
use uuid::Uuid;

/// Enough that threads that work for different ids rarely contend for the same lock.
const SHARDS: usize = 64;

/// A value that is split by ids. Everything of one id is in the same part.
pub(crate) struct Sharded<T>(Box<[Mutex<T>; SHARDS]>);

impl<T: Default> Default for Sharded<T> {
    fn default() -> Self {
        Self(Box::new(std::array::from_fn(|_| Mutex::default())))
    }
}

impl<T> Sharded<T> {
    /// Locks the part of this id.
    pub(crate) fn of(&self, id: Uuid) -> MutexGuard<'_, T> {
        // The last byte of a UUID is random in every version that is used for ids.
        let [.., last] = id.into_bytes();
        let [first, ..] = &*self.0;
        self.0.get(usize::from(last) % SHARDS).unwrap_or(first).lock()
    }

    /// Locks one part after the other.
    pub(crate) fn each(&self) -> impl Iterator<Item = MutexGuard<'_, T>> {
        self.0.iter().map(Mutex::lock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_one_id_is_found_by_this_id() {
        let sharded = Sharded::<Vec<Uuid>>::default();
        let ids: Vec<_> = (0..1_000).map(|_| Uuid::now_v7()).collect();
        for id in &ids {
            sharded.of(*id).push(*id);
        }
        assert!(ids.iter().all(|id| sharded.of(*id).contains(id)));
        assert_eq!(sharded.each().map(|part| part.len()).sum::<usize>(), ids.len());
    }

    #[test]
    fn a_panic_under_the_lock_does_not_close_a_part() {
        let sharded = Sharded::<usize>::default();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _part = sharded.of(Uuid::nil());
            panic!("under the lock");
        }));
        assert!(panicked.is_err());
        *sharded.of(Uuid::nil()) = 1;
    }
}
