//! Acts on notices of changes: drops cached policies, and checks open calls against the kill switches.

use std::{collections::HashSet, fmt, sync::Arc};

use futures_util::{StreamExt, stream::FuturesUnordered};
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use crate::{
    call::KillSwitch,
    domain::ids::OrganizationId,
    postgres::listen::Heard,
    store::{Policies, Switchboard},
};

/// Changes that were reported and not acted on yet. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Changes(Arc<Shared>);

#[derive(Default)]
struct Shared {
    heard: Mutex<Changed>,
    more: Notify,
}

/// What has changed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changed {
    these: HashSet<OrganizationId>,
    /// Any organization may have changed.
    anew: bool,
}

impl Changes {
    /// Dropping cache entries scans the whole cache, so it takes as long for many organizations as for one. The pause
    /// after a scan is this many times as long, and the next scan covers all changes reported meanwhile. So frequent
    /// changes cannot keep every replica busy.
    const PAUSE: u32 = 9;
    /// The most organizations that are remembered by id. Beyond that, any organization counts as changed.
    const THESE_MAX: usize = 10_000;
    /// The most checks of kill switches at once. More than one, so that a slow answer does not hold up the others.
    const CHECKS_MAX: usize = 4;

    pub(super) fn tell(&self, heard: Heard) {
        let mut changed = self.0.heard.lock();
        match heard {
            Heard::Change(organization) if changed.these.len() < Self::THESE_MAX => {
                changed.these.insert(organization);
            }
            Heard::Change(_) | Heard::Anew => changed.anew = true,
        }
        drop(changed);
        self.0.more.notify_one();
    }

    /// Acts on reported changes, for ever.
    pub(super) async fn act(
        &self,
        policies: &Policies,
        switch: &KillSwitch,
        store: &dyn Switchboard,
    ) {
        let mut checks = FuturesUnordered::new();
        let mut not_before = Instant::now();
        loop {
            let next = async {
                sleep_until(not_before).await;
                self.next().await
            };
            tokio::select! {
                biased;
                Some(()) = checks.next(), if !checks.is_empty() => {}
                changed = next, if checks.len() < Self::CHECKS_MAX => {
                    let begun = Instant::now();
                    policies.forget_those(|known| changed.anew || changed.these.contains(&known));
                    let pause = begun.elapsed().saturating_mul(Self::PAUSE);
                    not_before = Instant::now().checked_add(pause).unwrap_or(begun);
                    checks.push(async move {
                        if changed.anew {
                            switch.check(store).await;
                        } else {
                            switch.check_those(store, changed.these).await;
                        }
                    });
                }
            }
        }
    }

    async fn next(&self) -> Changed {
        loop {
            let changed = {
                let mut heard = self.0.heard.lock();
                std::mem::take(&mut *heard)
            };
            if changed != Changed::default() {
                return changed;
            }
            self.0.more.notified().await;
        }
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Changes")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::{admin::http::tests::Board, context::Tenant, store::MemoryStore};

    const ONE: OrganizationId = OrganizationId::new(Uuid::from_u128(1));

    #[tokio::test]
    async fn what_is_heard_at_once_is_one_change_and_nothing_is_lost() {
        let changes = Changes::default();
        let two = OrganizationId::new(Uuid::from_u128(2));
        for organization in [ONE, two, ONE] {
            changes.tell(Heard::Change(organization));
        }
        let expected = Changed { these: HashSet::from([ONE, two]), anew: false };
        assert_eq!(changes.next().await, expected);
        changes.tell(Heard::Anew);
        assert!(changes.next().await.anew);
        let mut none = tokio_test::task::spawn(changes.next());
        tokio_test::assert_pending!(none.poll());
        changes.tell(Heard::Change(ONE));
        assert!(none.is_woken());
        assert_eq!(none.await.these, HashSet::from([ONE]));
    }

    #[tokio::test]
    async fn of_too_many_none_is_remembered_by_itself() {
        let heard = Changes::default();
        for number in 0..20_000 {
            heard.tell(Heard::Change(OrganizationId::new(Uuid::from_u128(number))));
        }
        let changed = heard.next().await;
        assert!(changed.anew && changed.these.len() == Changes::THESE_MAX);
    }

    #[tokio::test]
    async fn a_policy_that_has_changed_is_read_anew_and_others_are_not() {
        let (store, two) = (MemoryStore::default(), OrganizationId::new(Uuid::from_u128(2)));
        let tenants = [ONE, two].map(|organization| Tenant::new(organization, "ann"));
        let policies = Policies::cached(Arc::new(store.clone()), Policies::TTL_MAX);
        for tenant in &tenants {
            store.create_organization(tenant.organization_id());
            policies.get(tenant).await.unwrap();
        }
        let (changes, switch) = (Changes::default(), KillSwitch::default());
        let known = || tenants.each_ref().map(|tenant| policies.peek(tenant).is_some());
        let look = async {
            for (heard, expected) in
                [(Heard::Change(ONE), [false, true]), (Heard::Anew, [false, false])]
            {
                changes.tell(heard);
                let come = async {
                    while known() != expected {
                        tokio::task::yield_now().await;
                    }
                };
                tokio::time::timeout(Duration::from_secs(10), come).await.unwrap();
            }
        };
        tokio::select! {
            () = changes.act(&policies, &switch, &Board) => {}
            () = look => {}
        }
    }
}
