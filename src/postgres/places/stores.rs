//! The store traits over all places.

use std::{sync::Arc, time::Duration};

use super::{PostgresStore, anywhere::Anywhere};
use crate::{
    context::Tenant,
    domain::{
        finish::{Finish, Finished},
        hold::{Heartbeat, HoldRequest, HoldVerdict},
        ids::{OrganizationId, RequestId},
        price::{Agreement, PriceBook},
        role::Role,
        switch::{Switch, Switches},
    },
    postgres::{prices, switches},
    store::{
        Flipped, Journal, Ledger, PolicyStore, PriceStore, Standing, StoreError, StoreFuture,
        SwitchStore, Switchboard, SwitchesOn,
        coalesce::{Asked, Batches, Ended},
    },
};

/// How long finishes wait for the end of a move before their caller is told that it goes on: as long as statements wait
/// for a lock.
const FINISH_WAIT_MAX: Duration = Duration::from_secs(2);

impl PolicyStore for PostgresStore {
    fn standing<'a>(&'a self, tenant: &'a Tenant) -> StoreFuture<'a, Standing> {
        Box::pin(self.ask(tenant.organization_id(), move |schema| {
            Box::pin(async move { schema.standing(tenant).await })
        }))
    }
}

impl PriceStore for PostgresStore {
    fn price_book(&self) -> StoreFuture<'_, PriceBook> {
        Box::pin(prices::price_book(self.pool()))
    }

    fn agreement<'a>(&'a self, tenant: &'a Tenant) -> StoreFuture<'a, Agreement> {
        Box::pin(async move {
            let agreement = self.ask(tenant.organization_id(), move |schema| {
                Box::pin(async move { prices::agreed_with(schema.pool(), tenant).await })
            });
            match agreement.await {
                Err(StoreError::UnknownOrganization) => Ok(Agreement::default()),
                agreement => agreement,
            }
        })
    }
}

impl SwitchStore for PostgresStore {
    fn switches(&self, organization: OrganizationId) -> StoreFuture<'_, Switches> {
        Box::pin(async move {
            let on = self.ask(organization, move |schema| {
                Box::pin(async move { switches::on(schema.door(), organization).await })
            });
            match on.await {
                Err(StoreError::UnknownOrganization) => Ok(Switches::default()),
                on => on,
            }
        })
    }
}

impl Switchboard for PostgresStore {
    fn list<'a>(&'a self, tenant: &'a Tenant, role: Role) -> StoreFuture<'a, SwitchesOn> {
        let id = tenant.organization_id();
        Box::pin(self.ask(id, move |schema| {
            Box::pin(async move {
                switches::list(schema.door(), tenant.claims(), role.into(), id).await
            })
        }))
    }

    fn turn_on<'a>(
        &'a self,
        tenant: &'a Tenant,
        role: Role,
        switch: &'a Switch,
        reason: Option<&'a str>,
    ) -> StoreFuture<'a, Option<Flipped>> {
        let id = tenant.organization_id();
        Box::pin(self.ask(id, move |schema| {
            Box::pin(async move {
                let (door, claims) = (schema.door(), tenant.claims());
                switches::turn_on(door, claims, role.into(), id, switch, reason).await
            })
        }))
    }

    fn turn_off<'a>(
        &'a self,
        tenant: &'a Tenant,
        role: Role,
        switch: &'a Switch,
    ) -> StoreFuture<'a, ()> {
        let id = tenant.organization_id();
        Box::pin(self.ask(id, move |schema| {
            Box::pin(async move {
                switches::turn_off(schema.door(), tenant.claims(), role.into(), id, switch).await
            })
        }))
    }
}

impl Ledger for PostgresStore {
    fn hold<'a>(
        &'a self,
        tenant: &'a Tenant,
        request: HoldRequest,
    ) -> StoreFuture<'a, HoldVerdict> {
        self.calls().hold(tenant, request)
    }

    fn renew<'a>(
        &'a self,
        organization: OrganizationId,
        heartbeats: &'a [Heartbeat],
        ttl: Duration,
    ) -> StoreFuture<'a, Vec<RequestId>> {
        self.calls().renew(organization, heartbeats, ttl)
    }
}

impl Journal for PostgresStore {
    fn finish<'a>(
        &'a self,
        tenant: &'a Tenant,
        finish: &'a Arc<Finish>,
    ) -> StoreFuture<'a, Finished> {
        self.calls().finish(tenant, finish)
    }
}

impl Batches for Anywhere {
    fn hold_all<'a>(
        &'a self,
        organization: OrganizationId,
        calls: &'a [Asked],
    ) -> StoreFuture<'a, Vec<HoldVerdict>> {
        Box::pin(self.ask(organization, move |schema| {
            Box::pin(async move { schema.hold_all(organization, calls).await })
        }))
    }

    /// Soon says that the organization is being moved. The caller knows then that nothing was written, and asks again.
    fn finish_all<'a>(
        &'a self,
        organization: OrganizationId,
        calls: &'a [Ended],
    ) -> StoreFuture<'a, Vec<Finished>> {
        Box::pin(self.ask_within(FINISH_WAIT_MAX, organization, move |schema| {
            Box::pin(async move { schema.finish_all(organization, calls).await })
        }))
    }

    /// Does not wait for the end of a move: the next heartbeat comes soon, and other organizations' heartbeats must
    /// not be late.
    fn renew_all<'a>(
        &'a self,
        organization: OrganizationId,
        heartbeats: &'a [Heartbeat],
        ttl: Duration,
    ) -> StoreFuture<'a, Vec<RequestId>> {
        Box::pin(self.ask_within(Duration::ZERO, organization, move |schema| {
            Box::pin(async move { schema.renew_all(organization, heartbeats, ttl).await })
        }))
    }

    /// Asks for the place again, because the organization may have moved since the holds were granted.
    fn give_back_all<'a>(
        &'a self,
        organization: OrganizationId,
        calls: &'a [RequestId],
    ) -> StoreFuture<'a, ()> {
        Box::pin(self.ask(organization, move |schema| {
            Box::pin(async move { schema.give_back_all(organization, calls).await })
        }))
    }
}

impl PostgresStore {
    /// Waits, at most this long, until pending holds are granted or released. Call it when no new holds come. A hold
    /// that is not released in time expires.
    pub async fn finish_holds(&self, wait_max: Duration) {
        self.calls().wait_idle(wait_max).await;
    }
}
