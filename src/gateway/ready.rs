//! Readiness: whether this process can take calls.
//!
//! Load balancers ask every few seconds, several of them at once. So the answer is cached for a second, and concurrent
//! requests share one run of the checks.

use std::{fmt, pin::Pin, time::Duration};

use serde::Serialize;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

/// A condition that must hold before calls are taken.
pub(super) struct Check {
    /// The name of the check in the answer.
    pub(super) name: &'static str,
    /// Runs the check. The error tells operators what is wrong, without secrets.
    pub(super) probe: Box<dyn Fn() -> Probe + Send + Sync>,
}

/// Resolves to the outcome of a check.
pub(super) type Probe = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// The answer to `GET /readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Report {
    /// All checks hold.
    pub(super) ready: bool,
    /// The outcomes, in the order of the checks.
    pub(super) checks: Vec<Outcome>,
}

/// The outcome of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Outcome {
    name: &'static str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// All checks of this process.
pub(super) struct Readiness {
    checks: Vec<Check>,
    /// Locked while the checks run, so that concurrent requests wait for the same report.
    last: Mutex<Option<(Instant, Report)>>,
}

impl Readiness {
    const KEPT: Duration = Duration::from_secs(1);
    const CHECK_MAX: Duration = Duration::from_secs(3);

    pub(super) fn new(checks: Vec<Check>) -> Self {
        Self { checks, last: Mutex::new(None) }
    }

    /// The report, at most a second old. Each check takes at most three seconds.
    pub(super) async fn report(&self) -> Report {
        let mut last = self.last.lock().await;
        if let Some((found, report)) = &*last
            && found.elapsed() < Self::KEPT
        {
            return report.clone();
        }
        let mut outcomes = Vec::with_capacity(self.checks.len());
        for Check { name, probe } in &self.checks {
            let found = timeout(Self::CHECK_MAX, probe())
                .await
                .unwrap_or_else(|_| Err("no answer in time".to_owned()));
            outcomes.push(Outcome { name, ok: found.is_ok(), problem: found.err() });
        }
        let report = Report { ready: outcomes.iter().all(|outcome| outcome.ok), checks: outcomes };
        *last = Some((Instant::now(), report.clone()));
        report
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.checks.iter().map(|check| check.name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    fn counted(
        name: &'static str,
        asked: &Arc<AtomicUsize>,
        outcome: Result<(), &'static str>,
    ) -> Check {
        let asked = Arc::clone(asked);
        let probe = move || -> Probe {
            asked.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                tokio::task::yield_now().await;
                outcome.map_err(str::to_owned)
            })
        };
        Check { name, probe: Box::new(probe) }
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_at_once_cost_one_check_a_second() {
        let asked = Arc::default();
        let readiness = Readiness::new(vec![counted("database", &asked, Ok(()))]);
        for expected in 1..=2 {
            let (one, other, third) =
                tokio::join!(readiness.report(), readiness.report(), readiness.report());
            assert!(one.ready && other.ready && third.ready);
            tokio::time::advance(Duration::from_millis(999)).await;
            assert!(readiness.report().await.ready);
            assert_eq!(asked.load(Ordering::SeqCst), expected);
            tokio::time::advance(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn a_check_that_fails_is_named_with_its_problem() {
        let asked = Arc::default();
        let checks =
            vec![counted("database", &asked, Ok(())), counted("keys", &asked, Err("not loaded"))];
        let report = serde_json::to_value(Readiness::new(checks).report().await).unwrap();
        let expected = serde_json::json!({"ready": false, "checks": [
            {"name": "database", "ok": true}, {"name": "keys", "ok": false, "problem": "not loaded"}]});
        assert_eq!(report, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_is_given_up() {
        let hang = Check { name: "database", probe: Box::new(|| Box::pin(std::future::pending())) };
        let begun = Instant::now();
        let report = Readiness::new(vec![hang]).report().await;
        assert_eq!(begun.elapsed().as_secs(), 3);
        assert_eq!(report.checks[0].problem.as_deref(), Some("no answer in time"));
    }
}
