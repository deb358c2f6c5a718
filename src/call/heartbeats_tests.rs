//! Heartbeats of several organizations, one of which nobody answers for.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_test::{assert_pending, task};
use uuid::Uuid;

use super::*;
use crate::{
    call::tests::set_hold,
    context::Tenant,
    domain::{
        hold::{HoldRequest, HoldVerdict},
        policy::Disconnect,
    },
    store::StoreFuture,
};

const SILENT: OrganizationId = OrganizationId::new(Uuid::from_u128(0));

/// A ledger that never answers about one organization.
#[derive(Default)]
struct Half {
    renewed: AtomicUsize,
}

impl Ledger for Half {
    fn hold<'a>(&'a self, _: &'a Tenant, _: HoldRequest) -> StoreFuture<'a, HoldVerdict> {
        Box::pin(std::future::pending())
    }

    fn renew<'a>(
        &'a self,
        organization: OrganizationId,
        heartbeats: &'a [Heartbeat],
        _: Duration,
    ) -> StoreFuture<'a, Vec<RequestId>> {
        Box::pin(async move {
            if organization == SILENT {
                return std::future::pending().await;
            }
            self.renewed.fetch_add(heartbeats.len(), Ordering::Relaxed);
            Ok(heartbeats.iter().map(|heartbeat| heartbeat.request_id).collect())
        })
    }
}

#[test]
fn an_organization_that_nobody_answers_for_holds_up_no_other() {
    let (heartbeats, ledger) = (Heartbeats::default(), Half::default());
    let watch = |organization| {
        let call = Call::for_model("small");
        set_hold(&call, Disconnect::Drain);
        heartbeats.watch(organization, &call)
    };
    let others: Vec<_> =
        (1..=40_u128).map(|id| watch(OrganizationId::new(Uuid::from_u128(id)))).collect();
    let silent = watch(SILENT);
    let mut beat = task::spawn(heartbeats.beat(&ledger, Duration::from_mins(1)));
    while beat.is_woken() || ledger.renewed.load(Ordering::Relaxed) == 0 {
        assert_pending!(beat.poll());
    }
    assert_eq!(ledger.renewed.load(Ordering::Relaxed), others.len());
    drop(beat);
    drop(silent);
    let mut beat = task::spawn(heartbeats.beat(&ledger, Duration::from_mins(1)));
    let standing = loop {
        if let std::task::Poll::Ready(standing) = beat.poll() {
            break standing;
        }
    };
    assert_eq!(standing.unwrap(), others.len());
}
