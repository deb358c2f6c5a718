//! Checks the books of every organization at intervals. The results are metrics; broken books are also logged.
//!
//! Every replica runs the check, so all replicas report the same figures, apart from the time between their checks.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::Upkeep;
use crate::{clock::unix_seconds, store::admin::Reconciliation};

/// The pause after a check is at least this many times as long as the check. So checks take at most a tenth of one
/// connection's time, however long the books are.
const PAUSE: u32 = 9;

/// Checks for ever. The first check comes after `every`, so that replicas that restart often add no load.
pub(super) async fn keep_checking(upkeep: Arc<dyn Upkeep>, every: Duration) {
    let mut pause = every;
    loop {
        sleep(pause).await;
        let begun = Instant::now();
        match upkeep.reconcile().await {
            Ok(books) => tell(&books),
            Err(error) => {
                metrics::counter!("tollgate_books_check_failures_total").increment(1);
                tracing::warn!(%error, "cannot check the books");
            }
        }
        let took = begun.elapsed();
        metrics::histogram!("tollgate_books_check_seconds").record(took);
        pause = every.max(took.saturating_mul(PAUSE));
    }
}

fn tell(books: &Reconciliation) {
    let mut findings: u64 = 0;
    for one in &books.broken {
        for finding in &one.broken {
            findings = findings.saturating_add(1);
            tracing::error!(organization_id = %one.organization_id, finding, "the books are broken");
        }
    }
    let broken = u64::try_from(books.broken.len()).unwrap_or(u64::MAX);
    for (gauge, figure) in [
        (metrics::gauge!("tollgate_books_broken"), broken.to_string()),
        (metrics::gauge!("tollgate_books_findings"), findings.to_string()),
        (metrics::gauge!("tollgate_books_organizations"), books.organizations.to_string()),
        (metrics::gauge!("tollgate_books_holds_expired"), books.expired.to_string()),
        (metrics::gauge!("tollgate_books_unbilled_dollars_max"), books.unbilled_max.to_string()),
        (metrics::gauge!("tollgate_books_checked_at_seconds"), unix_seconds().to_string()),
    ] {
        // A gauge is an `f64`, which has no lossless conversion from 64-bit integers. Parsing the decimal text gives
        // the nearest `f64`.
        gauge.set(figure.parse::<f64>().unwrap_or(f64::NAN));
    }
}
