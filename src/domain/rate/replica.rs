//! One limit, divided among several processes.

use std::num::NonZeroU32;

/// One of several processes that share the load. Each counts for itself.
///
/// A limit is divided so that all replicas together never grant more than the limit. The remainder of
/// the division goes to the first replicas, one unit each. If each replica knows its number, all
/// together grant exactly the limit. A replica that does not know its number rounds down.
///
/// ```
/// # use std::num::NonZeroU32;
/// # use tollgate::domain::rate::Replica;
/// let (five, two) = (NonZeroU32::new(5).unwrap(), NonZeroU32::new(2).unwrap());
/// assert_eq!(Replica::of(two).numbered(0).share(five), 3);
/// assert_eq!(Replica::of(two).numbered(1).share(five), 2);
/// assert_eq!(Replica::of(two).share(five), 2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replica {
    replicas: NonZeroU32,
    index: Option<u32>,
}

impl Replica {
    /// The only replica.
    pub const ALONE: Self = Self { replicas: NonZeroU32::MIN, index: Some(0) };

    /// One of this many replicas, which does not know its number.
    pub const fn of(replicas: NonZeroU32) -> Self {
        Self { replicas, index: None }
    }

    /// The replica with this number, counted from 0. If the number is too large, its share is rounded
    /// down.
    #[must_use]
    pub const fn numbered(self, index: u32) -> Self {
        Self { index: Some(index), ..self }
    }

    /// This replica's share of a limit. 0 if the limit is smaller than the number of replicas and goes
    /// to others.
    pub fn share(self, limit: NonZeroU32) -> u32 {
        let (share, rest) = self.divide(limit);
        share.saturating_add(u32::from(self.index.is_some_and(|index| index < rest)))
    }

    /// The largest share of any replica.
    pub fn largest_share(self, limit: NonZeroU32) -> u32 {
        let (share, rest) = self.divide(limit);
        share.saturating_add(u32::from(self.index.is_some() && rest > 0))
    }

    fn divide(self, limit: NonZeroU32) -> (u32, u32) {
        (limit.get() / self.replicas, limit.get() % self.replicas)
    }
}
