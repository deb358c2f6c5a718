//! Heartbeats of several organizations; the ledger never answers for one of them.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use tokio_test::{assert_pending, task};
use uuid::Uuid;

use super::*;
use crate::{
    call::tests::set_hold,
    context::Tenant,
    domain::{
        hold::{HoldRequest, HoldVerdict},
        ids::RequestId,
        policy::Disconnect,
        usage::Usage,
    },
    store::StoreFuture,
};

const SILENT: OrganizationId = OrganizationId::new(Uuid::from_u128(0));

/// A ledger that never answers about one organization.
#[derive(Default)]
struct Half {
    renewed: AtomicUsize,
    /// The heartbeats of each statement, in order, and their time to live.
    told: Mutex<Vec<(Vec<Heartbeat>, Duration)>>,
}

impl Ledger for Half {
    fn hold<'a>(&'a self, _: &'a Tenant, _: HoldRequest) -> StoreFuture<'a, HoldVerdict> {
        Box::pin(std::future::pending())
    }

    fn renew<'a>(
        &'a self,
        organization: OrganizationId,
        heartbeats: &'a [Heartbeat],
        ttl: Duration,
    ) -> StoreFuture<'a, Vec<RequestId>> {
        Box::pin(async move {
            if organization == SILENT {
                return std::future::pending().await;
            }
            self.told.lock().unwrap().push((heartbeats.to_vec(), ttl));
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

#[tokio::test]
async fn a_heartbeat_says_what_was_seen_and_what_that_costs_of_calls_with_a_hold() {
    let (heartbeats, ledger) = (Heartbeats::default(), Half::default());
    let [seen, unseen, unheld] = [(); 3].map(|()| Call::for_model("small"));
    let organization = OrganizationId::new(Uuid::from_u128(1));
    let open = [&seen, &unseen, &unheld].map(|call| heartbeats.watch(organization, call));
    for held in [&seen, &unseen] {
        set_hold(held, Disconnect::Drain);
    }
    seen.note_seen(Usage { input: 10, output: 3, ..Usage::default() });
    let ttl = Duration::from_secs(7);
    assert_eq!(heartbeats.beat(&ledger, ttl).await.unwrap(), 2);
    let mut told = ledger.told.lock().unwrap().pop().unwrap();
    told.0.sort_by_key(|beat| beat.tokens);
    // 10 × 1,000 + 3 × 2,000 nano-dollars
    let beat = |call: &Call, used, tokens| Heartbeat {
        request_id: call.request_id(),
        used: Credits::from_nanos(used),
        tokens,
    };
    assert_eq!(told, (vec![beat(&unseen, 0, 0), beat(&seen, 16_000, 13)], ttl));
    drop(open);
    assert_eq!(heartbeats.beat(&ledger, ttl).await.unwrap(), 0);
    assert!(ledger.told.lock().unwrap().is_empty(), "who has ended is not told of");
}

#[tokio::test]
async fn one_statement_renews_256_holds_at_the_most() {
    let (heartbeats, ledger) = (Heartbeats::default(), Half::default());
    let organization = OrganizationId::new(Uuid::from_u128(1));
    let calls: Vec<_> = (0..600).map(|_| Call::for_model("small")).collect();
    let open: Vec<_> = calls.iter().map(|call| heartbeats.watch(organization, call)).collect();
    for call in &calls {
        set_hold(call, Disconnect::Drain);
    }
    assert_eq!(heartbeats.beat(&ledger, Duration::from_secs(7)).await.unwrap(), 600);
    let mut told: Vec<_> = ledger.told.lock().unwrap().iter().map(|(told, _)| told.len()).collect();
    told.sort_unstable();
    assert_eq!(told, [88, 256, 256]);
    drop(open);
}
