//! Checks the books of every organization now and then, and tells operators what came of it: in metrics, and in the log
//! where something is wrong.
//!
//! Every replica does: each figure is the same in all of them, give or take the time between their checks.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::Upkeep;
use crate::{clock::unix_seconds, store::admin::Reconciliation};

/// After a check there is a pause of so many times as long: however long the books are, a tenth of one connection's
/// time goes into it.
const PAUSE: u32 = 9;

/// Checks for ever: the first time after `every`, so that replicas that start and stop do not add to it.
pub(super) async fn keep_checking(upkeep: Arc<dyn Upkeep>, every: Duration) {
    let mut pause = every;
    loop {
        sleep(pause).await;
        let begun = Instant::now();
        match upkeep.reconcile().await {
            Ok(books) => tell(&books),
            Err(error) => {
                metrics::counter!("tollgate_books_check_failures_total").increment(1);
                tracing::warn!(%error, "the books could not be checked");
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
        // A gauge is a float, and takes whole numbers of 32 bits only; what is written down is read as the nearest one.
        gauge.set(figure.parse::<f64>().unwrap_or(f64::NAN));
    }
}
