//! One limit, counted by several processes.

use std::num::NonZeroU32;

/// One of several processes that share the load, each counting for itself.
///
/// A limit is divided among them so that all together never grant more than the limit. What does not
/// divide evenly goes to the first ones, one unit each, so all together grant exactly the limit, if
/// each knows which one it is. Who does not know rounds down.
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
    /// The only one.
    pub const ALONE: Self = Self { replicas: NonZeroU32::MIN, index: Some(0) };

    /// One of so many, which does not know its number.
    pub const fn of(replicas: NonZeroU32) -> Self {
        Self { replicas, index: None }
    }

    /// The one of this number, counted from 0. One that there is not takes no more than its share
    /// rounded down.
    #[must_use]
    pub const fn numbered(self, index: u32) -> Self {
        Self { index: Some(index), ..self }
    }

    /// What this one grants of a limit. Nothing, where the limit is smaller than the number of
    /// replicas and falls to others.
    pub fn share(self, limit: NonZeroU32) -> u32 {
        let (share, rest) = self.divide(limit);
        share.saturating_add(u32::from(self.index.is_some_and(|index| index < rest)))
    }

    /// The most that any of them grants.
    pub fn largest_share(self, limit: NonZeroU32) -> u32 {
        let (share, rest) = self.divide(limit);
        share.saturating_add(u32::from(self.index.is_some() && rest > 0))
    }

    fn divide(self, limit: NonZeroU32) -> (u32, u32) {
        (limit.get() / self.replicas, limit.get() % self.replicas)
    }
}
