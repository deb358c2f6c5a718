//! The memory store behind a [`Coalescer`](crate::store::coalesce::Coalescer), which lets holds wait for others.

use std::{future::ready, time::Duration};

use super::MemoryStore;
use crate::{
    domain::{
        finish::Finished,
        hold::{Heartbeat, HoldVerdict},
        ids::{OrganizationId, RequestId},
    },
    store::{
        StoreFuture,
        coalesce::{Asked, Batches, Ended},
    },
};

impl Batches for MemoryStore {
    fn hold_all<'a>(
        &'a self,
        organization: OrganizationId,
        calls: &'a [Asked],
    ) -> StoreFuture<'a, Vec<HoldVerdict>> {
        let verdicts = self.find(organization).map(|found| {
            calls.iter().map(|call| found.hold(&call.tenant, &call.request)).collect()
        });
        Box::pin(ready(verdicts))
    }

    fn finish_all<'a>(
        &'a self,
        organization: OrganizationId,
        calls: &'a [Ended],
    ) -> StoreFuture<'a, Vec<Finished>> {
        let finished = self.find(organization).and_then(|found| {
            calls.iter().map(|call| Ok(found.finish(&call.tenant, &call.finish)?)).collect()
        });
        Box::pin(ready(finished))
    }

    fn renew_all<'a>(
        &'a self,
        organization: OrganizationId,
        heartbeats: &'a [Heartbeat],
        ttl: Duration,
    ) -> StoreFuture<'a, Vec<RequestId>> {
        let renewed = self.find(organization).map(|found| found.account().renew(heartbeats, ttl));
        Box::pin(ready(renewed))
    }

    fn give_back_all<'a>(
        &'a self,
        organization: OrganizationId,
        calls: &'a [RequestId],
    ) -> StoreFuture<'a, ()> {
        let given = self.find(organization).map(|found| found.account().give_back(calls));
        Box::pin(ready(given))
    }
}
