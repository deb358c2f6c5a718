//! Stores in this process's memory, for `tollgate dev --in-memory`. Nothing is durable.
//!
//! Credits, budgets, rates, policies and kill switches are enforced as with Postgres. Without rows, there is no
//! row-level security: only the code of [`MemoryStore`] keeps organizations apart.

use std::{collections::HashMap, pin::Pin, sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};

use super::{Stores, Upkeep};
use crate::{
    clock::unix_seconds,
    context::Tenant,
    domain::{
        ids::OrganizationId,
        instant::rfc3339,
        role::Role,
        switch::{Switch, Switches},
    },
    store::{
        Flipped, MemoryStore, StoreError, StoreFuture, SwitchStore, Switchboard, SwitchesOn,
        admin::{Books, Reconciliation},
    },
};

/// How many kill switches may be on in one organization.
const ON_MAX: usize = 1_000;

impl Stores {
    /// Stores that keep everything in this [`MemoryStore`]. Kill switches work for the listed organizations only.
    pub fn in_memory(
        store: MemoryStore,
        organizations: impl IntoIterator<Item = OrganizationId>,
    ) -> Self {
        let on = organizations.into_iter().map(|id| (id, Vec::new())).collect();
        let kept = Arc::new(InMemory { store: store.clone(), on: Mutex::new(on) });
        let shared = Arc::new(store);
        Self {
            policies: Arc::<MemoryStore>::clone(&shared),
            switches: Arc::<InMemory>::clone(&kept),
            prices: Arc::<MemoryStore>::clone(&shared),
            ledger: Arc::<MemoryStore>::clone(&shared),
            journal: shared,
            upkeep: kept,
        }
    }
}

/// What a gateway needs besides the [`MemoryStore`]: kill switches with their details, and background work.
struct InMemory {
    store: MemoryStore,
    /// The kill switches that are on, by organization.
    on: Mutex<HashMap<OrganizationId, Vec<Flipped>>>,
}

impl InMemory {
    fn on(&self) -> MutexGuard<'_, HashMap<OrganizationId, Vec<Flipped>>> {
        self.on.lock()
    }

    fn organizations(&self) -> Vec<OrganizationId> {
        self.on().keys().copied().collect()
    }

    fn turn_on(
        &self,
        tenant: &Tenant,
        role: Role,
        switch: &Switch,
        reason: Option<&str>,
    ) -> Result<Option<Flipped>, StoreError> {
        may_configure(role)?;
        let id = tenant.organization_id();
        let mut on = self.on();
        let flipped = on.get_mut(&id).ok_or(StoreError::UnknownOrganization)?;
        must_not_be_stopped(flipped, tenant)?;
        if let Some(there) = flipped.iter().find(|there| there.switch == *switch) {
            return Ok(Some(there.clone()));
        }
        if flipped.len() >= ON_MAX {
            return Ok(None);
        }
        let fresh = Flipped {
            switch: switch.clone(),
            reason: reason.map(str::to_owned),
            switched_by: Some(tenant.user_id().to_owned()),
            switched_at: rfc3339(unix_seconds()),
        };
        self.store.set_switch(id, switch.clone(), true)?;
        flipped.push(fresh.clone());
        flipped.sort_by(|one, other| place(&one.switch).cmp(&place(&other.switch)));
        Ok(Some(fresh))
    }

    fn turn_off(&self, tenant: &Tenant, role: Role, switch: &Switch) -> Result<(), StoreError> {
        may_configure(role)?;
        let id = tenant.organization_id();
        let mut on = self.on();
        let flipped = on.get_mut(&id).ok_or(StoreError::UnknownOrganization)?;
        must_not_be_stopped(flipped, tenant)?;
        self.store.set_switch(id, switch.clone(), false)?;
        flipped.retain(|there| there.switch != *switch);
        Ok(())
    }
}

/// The rule that grants and row-level security enforce in Postgres.
const fn may_configure(role: Role) -> Result<(), StoreError> {
    match role {
        Role::Owner | Role::Admin | Role::Platform => Ok(()),
        Role::Member | Role::Viewer => Err(StoreError::Forbidden),
    }
}

/// Who is stopped by a switch of their own user, team or key turns no switch. Row-level security enforces it in Postgres.
fn must_not_be_stopped(flipped: &[Flipped], tenant: &Tenant) -> Result<(), StoreError> {
    let mut on = Switches::default();
    for there in flipped.iter().filter(|there| there.switch != Switch::Organization) {
        on.insert(there.switch.clone());
    }
    match on.stop(tenant.team_id(), tenant.user_id(), tenant.key_id()) {
        Some(_) => Err(StoreError::Forbidden),
        None => Ok(()),
    }
}

/// The sort key of a list: scope, then id.
fn place(switch: &Switch) -> (&'static str, Box<str>) {
    (switch.scope().as_str(), switch.scope_id())
}

/// Broken books. Only the findings are read, so the figures are left at zero.
fn broken_books(organization_id: OrganizationId, broken: Vec<String>) -> Books {
    let Reconciliation { balance, charged, holds_open, expired, unbilled_max, .. } =
        Reconciliation::default();
    Books { organization_id, balance, charged, holds_open, expired, unbilled_max, broken }
}

impl SwitchStore for InMemory {
    fn switches(&self, organization: OrganizationId) -> StoreFuture<'_, Switches> {
        self.store.switches(organization)
    }
}

impl Switchboard for InMemory {
    fn list<'a>(&'a self, tenant: &'a Tenant, _: Role) -> StoreFuture<'a, SwitchesOn> {
        Box::pin(async move {
            let on = self.on();
            let own = on.get(&tenant.organization_id()).ok_or(StoreError::UnknownOrganization)?;
            Ok(SwitchesOn { own: own.clone(), ..SwitchesOn::default() })
        })
    }

    fn turn_on<'a>(
        &'a self,
        tenant: &'a Tenant,
        role: Role,
        switch: &'a Switch,
        reason: Option<&'a str>,
    ) -> StoreFuture<'a, Option<Flipped>> {
        Box::pin(async move { self.turn_on(tenant, role, switch, reason) })
    }

    fn turn_off<'a>(
        &'a self,
        tenant: &'a Tenant,
        role: Role,
        switch: &'a Switch,
    ) -> StoreFuture<'a, ()> {
        Box::pin(async move { self.turn_off(tenant, role, switch) })
    }
}

impl Upkeep for InMemory {
    fn ready(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn expire_overdue(&self) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            let mut expired = 0_u64;
            for id in self.organizations() {
                let overdue = self.store.expire(id)?;
                expired = expired.saturating_add(u64::try_from(overdue).unwrap_or(u64::MAX));
            }
            Ok(expired)
        })
    }

    fn reconcile(&self) -> StoreFuture<'_, Reconciliation> {
        Box::pin(async move {
            let mut all = Reconciliation::default();
            for id in self.organizations() {
                all.organizations = all.organizations.saturating_add(1);
                let broken = self.store.reconcile(id)?;
                if !broken.is_empty() {
                    all.broken.push(broken_books(id, broken));
                }
            }
            Ok(all)
        })
    }

    fn close(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        credits::Credits,
        hold::{HoldRequest, HoldVerdict},
        ids::RequestId,
    };

    fn open() -> (Stores, MemoryStore, Tenant) {
        let (store, id) = (MemoryStore::default(), OrganizationId::new(Uuid::now_v7()));
        assert!(store.create_organization(id));
        store.grant_credits(id, Credits::from_nanos(100)).unwrap();
        (Stores::in_memory(store.clone(), [id]), store, Tenant::new(id, "ann"))
    }

    #[tokio::test]
    async fn an_overdue_hold_is_expired_and_the_books_stay_right() {
        let (stores, store, tenant) = open();
        let (request_id, amount) = (RequestId::generate(), Credits::from_nanos(60));
        let hold = HoldRequest { request_id, amount, tokens: 1, ttl: Duration::from_mins(1) };
        assert_eq!(stores.ledger.hold(&tenant, hold).await.unwrap(), HoldVerdict::Granted);
        assert_eq!(stores.upkeep.expire_overdue().await.unwrap(), 0);
        store.end_time(tenant.organization_id(), request_id).unwrap();
        assert_eq!(stores.upkeep.expire_overdue().await.unwrap(), 1);
        let books = stores.upkeep.reconcile().await.unwrap();
        assert_eq!((books.organizations, books.broken.len()), (1, 0));
        assert!(stores.upkeep.ready().await.is_ok());
    }

    #[tokio::test]
    async fn who_is_stopped_turns_no_switch_and_others_turn_theirs_off() {
        let (stores, _, ann) = open();
        let olga = Tenant::new(ann.organization_id(), "olga");
        let switch = Switch::read(crate::domain::scope::Scope::User, "ann").unwrap();
        let board = &stores.switches;
        assert!(board.turn_on(&olga, Role::Owner, &switch, None).await.unwrap().is_some());
        for role in [Role::Owner, Role::Admin] {
            let off = board.turn_off(&ann, role, &switch).await;
            assert!(matches!(off, Err(StoreError::Forbidden)), "{off:?}");
            let on = board.turn_on(&ann, role, &Switch::Organization, None).await;
            assert!(matches!(on, Err(StoreError::Forbidden)), "{on:?}");
        }
        board.turn_off(&olga, Role::Admin, &switch).await.unwrap();
        // A stopped organization stops nobody from starting it again.
        board.turn_on(&ann, Role::Owner, &Switch::Organization, None).await.unwrap();
        board.turn_off(&ann, Role::Owner, &Switch::Organization).await.unwrap();
    }

    #[tokio::test]
    async fn switches_are_listed_in_order_and_no_more_than_a_thousand_are_on() {
        let (stores, store, tenant) = open();
        let user = |name: &str| Switch::read(crate::domain::scope::Scope::User, name).unwrap();
        let turn_on = async |switch: Switch, role| {
            stores.switches.turn_on(&tenant, role, &switch, None).await
        };
        assert!(matches!(turn_on(user("bob"), Role::Member).await, Err(StoreError::Forbidden)));
        let bob = turn_on(user("bob"), Role::Owner).await.unwrap();
        assert_eq!(bob.clone().unwrap().switched_by.as_deref(), Some("ann"));
        assert_eq!(turn_on(user("bob"), Role::Admin).await.unwrap(), bob, "it stays as it is");
        for number in 1..ON_MAX {
            assert!(turn_on(user(&format!("a{number}")), Role::Admin).await.unwrap().is_some());
        }
        assert!(turn_on(Switch::Organization, Role::Admin).await.unwrap().is_none());
        let listed = stores.switches.list(&tenant, Role::Viewer).await.unwrap().own;
        assert_eq!(listed.len(), ON_MAX);
        assert!(listed.is_sorted_by_key(|flipped| flipped.switch.scope_id()));
        assert_eq!(listed.last(), bob.as_ref());
        let denied = stores.switches.turn_off(&tenant, Role::Viewer, &user("bob")).await;
        assert!(matches!(denied, Err(StoreError::Forbidden)));
        stores.switches.turn_off(&tenant, Role::Owner, &user("bob")).await.unwrap();
        let on = store.switches(tenant.organization_id()).await.unwrap();
        assert!(on.stop(None, "bob", None).is_none() && on.stop(None, "a1", None).is_some());
    }
}
