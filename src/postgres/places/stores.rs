//! The store traits over all places.

use std::{sync::Arc, time::Duration};

use super::{Places, anywhere::Anywhere};
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

impl PolicyStore for Places {
    fn standing<'a>(&'a self, tenant: &'a Tenant) -> StoreFuture<'a, Standing> {
        Box::pin(self.ask(tenant.organization_id(), move |store| {
            Box::pin(async move { store.standing(tenant).await })
        }))
    }
}

impl PriceStore for Places {
    fn price_book(&self) -> StoreFuture<'_, PriceBook> {
        self.main().price_book()
    }

    fn agreement<'a>(&'a self, tenant: &'a Tenant) -> StoreFuture<'a, Agreement> {
        Box::pin(async move {
            let agreement = self.ask(tenant.organization_id(), move |store| {
                Box::pin(async move { prices::agreed_with(store.pool(), tenant).await })
            });
            match agreement.await {
                Err(StoreError::UnknownOrganization) => Ok(Agreement::default()),
                agreement => agreement,
            }
        })
    }
}

impl SwitchStore for Places {
    fn switches(&self, organization: OrganizationId) -> StoreFuture<'_, Switches> {
        Box::pin(async move {
            let on = self.ask(organization, move |store| {
                Box::pin(async move { switches::on(store.door(), organization).await })
            });
            match on.await {
                Err(StoreError::UnknownOrganization) => Ok(Switches::default()),
                on => on,
            }
        })
    }
}

impl Switchboard for Places {
    fn list<'a>(&'a self, tenant: &'a Tenant, role: Role) -> StoreFuture<'a, SwitchesOn> {
        Box::pin(self.ask(tenant.organization_id(), move |store| {
            Box::pin(async move { store.list(tenant, role).await })
        }))
    }

    fn turn_on<'a>(
        &'a self,
        tenant: &'a Tenant,
        role: Role,
        switch: &'a Switch,
        reason: Option<&'a str>,
    ) -> StoreFuture<'a, Option<Flipped>> {
        Box::pin(self.ask(tenant.organization_id(), move |store| {
            Box::pin(async move { store.turn_on(tenant, role, switch, reason).await })
        }))
    }

    fn turn_off<'a>(
        &'a self,
        tenant: &'a Tenant,
        role: Role,
        switch: &'a Switch,
    ) -> StoreFuture<'a, ()> {
        Box::pin(self.ask(tenant.organization_id(), move |store| {
            Box::pin(async move { store.turn_off(tenant, role, switch).await })
        }))
    }
}

impl Ledger for Places {
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

impl Journal for Places {
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
        Box::pin(async move {
            let verdicts = self.ask(organization, move |store| {
                Box::pin(async move {
                    let verdicts = store.statements().hold_all(organization, calls).await?;
                    // This may be the wrong place. The error makes `ask` look the organization up again.
                    if verdicts.contains(&HoldVerdict::UnknownOrganization) {
                        return Err(StoreError::UnknownOrganization);
                    }
                    Ok(verdicts)
                })
            });
            match verdicts.await {
                Err(StoreError::UnknownOrganization) => {
                    Ok(vec![HoldVerdict::UnknownOrganization; calls.len()])
                }
                verdicts => verdicts,
            }
        })
    }

    fn finish_all<'a>(
        &'a self,
        organization: OrganizationId,
        calls: &'a [Ended],
    ) -> StoreFuture<'a, Vec<Finished>> {
        Box::pin(self.ask(organization, move |store| {
            Box::pin(async move { store.statements().finish_all(organization, calls).await })
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
        Box::pin(self.ask_at_once(organization, move |store| {
            Box::pin(
                async move { store.statements().renew_all(organization, heartbeats, ttl).await },
            )
        }))
    }

    /// Asks for the place again, because the organization may have moved since the holds were granted.
    fn give_back_all<'a>(
        &'a self,
        organization: OrganizationId,
        calls: &'a [RequestId],
    ) -> StoreFuture<'a, ()> {
        Box::pin(self.ask(organization, move |store| {
            Box::pin(async move { store.statements().give_back_all(organization, calls).await })
        }))
    }
}

impl Places {
    /// As [`PostgresStore::finish_holds`](crate::postgres::PostgresStore::finish_holds), in all places.
    pub async fn finish_holds(&self, wait_max: Duration) {
        self.calls().settle(wait_max).await;
    }
}
