//! Who holds how much of the room for open calls and for finishes that are not written yet.

use std::{collections::HashMap, fmt, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::ids::OrganizationId;

/// An organization may open a call while it holds at most this many times the free slots. So one organization alone
/// gets three quarters of all slots, and a quarter is always left for others.
const TIMES_FREE: usize = 3;
/// How many finishes of one organization are sent to the journal at once: two full batches. Further ones wait here,
/// where it is known that they are not being written.
const TURNS: usize = 128;

/// The slots of open calls, by organization.
///
/// A call takes a slot before the provider is called. It gives the slot back when its finish is written, or as soon as
/// its finish has to be retried. From then on it is only counted as unwritten: a finish that waits for its
/// organization's place keeps no slot from others.
pub(super) struct Slots {
    max: usize,
    state: Mutex<State>,
}

struct State {
    free: usize,
    unwritten: usize,
    closed: bool,
    /// Those that hold anything. Calls without an organization are under `None`.
    organizations: HashMap<Option<OrganizationId>, Share>,
}

struct Share {
    open: usize,
    unwritten: usize,
    turns: Arc<Semaphore>,
}

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The process is stopping.
    Closed,
    /// All slots are taken.
    All,
    /// The organization has its share.
    Share,
    /// Too many finishes of the organization are not written.
    Unwritten,
}

/// A slot, or an unwritten finish. Dropping it gives it back.
pub(super) struct Held {
    slots: Arc<Slots>,
    organization: Option<OrganizationId>,
    set_aside: bool,
}

impl Slots {
    pub(super) fn new(max: usize) -> Arc<Self> {
        let state =
            State { free: max, unwritten: 0, closed: false, organizations: HashMap::default() };
        Arc::new(Self { max, state: Mutex::new(state) })
    }

    /// Gives no slots from now on.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
    }

    pub(super) fn free(&self) -> usize {
        self.state.lock().free
    }

    pub(super) fn take(
        self: &Arc<Self>,
        organization: Option<OrganizationId>,
    ) -> Result<Held, Full> {
        let mut state = self.state.lock();
        let share = state.organizations.get(&organization);
        let (open, unwritten) = share.map_or((0, 0), |share| (share.open, share.unwritten));
        if state.closed {
            return Err(Full::Closed);
        }
        if state.free == 0 {
            return Err(Full::All);
        }
        if organization.is_some() && open > state.free.saturating_mul(TIMES_FREE) {
            return Err(Full::Share);
        }
        // An organization whose finishes are all written is not refused for those of others.
        let others_too = unwritten > 0 && state.unwritten >= self.max;
        if others_too || unwritten >= (self.max / 4).max(1) {
            return Err(Full::Unwritten);
        }
        state.free = state.free.saturating_sub(1);
        let share = state.organizations.entry(organization).or_default();
        share.open = share.open.saturating_add(1);
        drop(state);
        Ok(Held { slots: Arc::clone(self), organization, set_aside: false })
    }
}

impl Default for Share {
    fn default() -> Self {
        Self { open: 0, unwritten: 0, turns: Arc::new(Semaphore::new(TURNS)) }
    }
}

impl Held {
    /// Waits for the organization's turn to send a finish to the journal.
    pub(super) fn turn(&self) -> impl Future<Output = Option<OwnedSemaphorePermit>> + use<> {
        let turns = {
            let state = self.slots.state.lock();
            let share = state.organizations.get(&self.organization);
            share.map(|share| Arc::clone(&share.turns))
        };
        // Always some: the semaphore is never closed, and a share exists as long as anything of it is held.
        async move { turns?.acquire_owned().await.ok() }
    }

    /// Gives the slot back. The finish counts as unwritten from now on.
    pub(super) fn set_aside(&mut self) {
        if std::mem::replace(&mut self.set_aside, true) {
            return;
        }
        let mut state = self.slots.state.lock();
        state.free = state.free.saturating_add(1);
        state.unwritten = state.unwritten.saturating_add(1);
        if let Some(share) = state.organizations.get_mut(&self.organization) {
            share.open = share.open.saturating_sub(1);
            share.unwritten = share.unwritten.saturating_add(1);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.slots.state.lock();
        if self.set_aside {
            state.unwritten = state.unwritten.saturating_sub(1);
        } else {
            state.free = state.free.saturating_add(1);
        }
        let Some(share) = state.organizations.get_mut(&self.organization) else { return };
        let count = if self.set_aside { &mut share.unwritten } else { &mut share.open };
        *count = count.saturating_sub(1);
        if share.open == 0 && share.unwritten == 0 {
            state.organizations.remove(&self.organization);
        }
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Slots")
            .field("free", &state.free)
            .field("unwritten", &state.unwritten)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> OrganizationId {
        OrganizationId::new(Uuid::from_u128(number))
    }

    /// As many slots as there are for it.
    fn all(slots: &Arc<Slots>, organization: Option<OrganizationId>) -> (Vec<Held>, Full) {
        let mut held = Vec::new();
        loop {
            match slots.take(organization) {
                Ok(one) => held.push(one),
                Err(full) => return (held, full),
            }
        }
    }

    #[test]
    fn one_organization_leaves_a_quarter_of_the_slots_to_others() {
        let slots = Slots::new(400);
        let (first, full) = all(&slots, Some(id(1)));
        assert_eq!((first.len(), full), (301, Full::Share));
        let (second, full) = all(&slots, Some(id(2)));
        assert_eq!((second.len(), full), (75, Full::Share));
        assert!(slots.take(Some(id(3))).is_ok());
        drop((first, second));
        assert_eq!(slots.free(), 400);
    }

    #[test]
    fn few_slots_and_calls_without_an_organization_are_not_shared_out() {
        for (max, who) in [(1, Some(id(1))), (4, Some(id(1))), (100, None)] {
            let (held, full) = all(&Slots::new(max), who);
            assert_eq!((held.len(), full), (max, Full::All));
        }
    }

    #[test]
    fn what_is_set_aside_keeps_no_slot_from_others_and_is_bounded_for_its_own_organization() {
        let slots = Slots::new(8);
        let mut aside = Vec::new();
        for _ in 0..2 {
            let mut held = slots.take(Some(id(1))).unwrap_or_else(|full| panic!("{full:?}"));
            held.set_aside();
            aside.push(held);
        }
        assert_eq!(slots.free(), 8);
        assert_eq!(slots.take(Some(id(1))).err(), Some(Full::Unwritten));
        assert!(slots.take(Some(id(2))).is_ok());
        aside.pop();
        assert!(slots.take(Some(id(1))).is_ok(), "one is written");
        drop(aside);
        assert!(
            slots.state.lock().organizations.is_empty(),
            "nothing is kept of who holds nothing"
        );
    }

    #[test]
    fn a_process_that_stops_gives_no_slots() {
        let slots = Slots::new(8);
        slots.close();
        assert_eq!(slots.take(Some(id(1))).err(), Some(Full::Closed));
    }

    #[tokio::test]
    async fn one_organization_sends_so_many_finishes_at_once_and_keeps_nobody_else_from_it() {
        let slots = Slots::new(1_000);
        let mut sent = Vec::new();
        let held = slots.take(Some(id(1))).unwrap_or_else(|full| panic!("{full:?}"));
        for _ in 0..TURNS {
            sent.push(held.turn().await);
        }
        // A task may acquire so much at a time only.
        tokio::task::yield_now().await;
        let next = tokio_test::task::spawn(held.turn()).poll().is_ready();
        let other = slots.take(Some(id(2))).unwrap_or_else(|full| panic!("{full:?}"));
        let others = tokio_test::task::spawn(other.turn()).poll().is_ready();
        assert_eq!((next, others), (false, true));
    }
}
