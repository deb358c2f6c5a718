//! Limits how many requests of one organization are answered at once.

use std::{collections::HashMap, sync::Arc};

use parking_lot::{Mutex, MutexGuard};

use crate::domain::ids::OrganizationId;

/// The requests that are being answered. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<Mutex<HashMap<OrganizationId, usize>>>);

/// The right to answer one request, given back on drop.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    organization: OrganizationId,
}

impl Turns {
    const MAX: usize = 4;

    /// Takes a turn. `None` if the organization has the maximum already.
    pub(super) fn take(&self, organization: OrganizationId) -> Option<Turn> {
        let mut taken = self.lock();
        let count = taken.entry(organization).or_default();
        if *count >= Self::MAX {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Turn { turns: self.clone(), organization })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<OrganizationId, usize>> {
        self.0.lock()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut taken = self.turns.lock();
        let Some(count) = taken.get_mut(&self.organization) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 {
            taken.remove(&self.organization);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn each_organization_has_a_few_turns_and_nothing_is_kept_of_one_that_has_none() {
        let (turns, one) = (Turns::default(), OrganizationId::new(Uuid::from_u128(1)));
        let mut held: Vec<_> = (0..Turns::MAX).map(|_| turns.take(one).unwrap()).collect();
        assert!(turns.take(one).is_none());
        assert!(turns.take(OrganizationId::new(Uuid::from_u128(2))).is_some());
        held.pop();
        held.push(turns.take(one).unwrap());
        assert!(turns.take(one).is_none());
        drop(held);
        assert!(turns.lock().is_empty());
    }
}
