//! Every metric of the gateway: the one list that the recorder and `docs/metrics.md` are held against.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// One metric.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What tells its series apart. Each has few values: never an organization, a user or a model.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "only the page of metrics is held against it")
    )]
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

/// What a metric does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Only ever grows.
    Counter,
    /// Has a value at each moment.
    Gauge,
    /// Counts values in these buckets, by their upper bounds.
    Histogram(&'static [f64]),
}
use Kind::{Counter, Gauge, Histogram};

/// Seconds: from a cached decision's to a long stream's.
const CALL_SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    120.0, 300.0,
];
/// Seconds: from a statement on the same host to a database in distress.
const STORE_SECONDS: &[f64] =
    &[0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// Calls in one statement.
const BATCH_CALLS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// All of them, by subject.
pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "tollgate_http_requests_total",
        kind: Counter,
        labels: &["route", "status"],
        help: "Requests by path template and class of status (`none`: the client left before the answer).",
    },
    Metric {
        name: "tollgate_http_request_seconds",
        kind: Histogram(CALL_SECONDS),
        labels: &["route"],
        help: "From a request's head to its answer's last byte.",
    },
    Metric {
        name: "tollgate_http_requests_open",
        kind: Gauge,
        labels: &[],
        help: "Requests whose answer has not ended.",
    },
    Metric {
        name: "tollgate_calls_total",
        kind: Counter,
        labels: &["endpoint", "ending"],
        help: "Model calls by endpoint and ending.",
    },
    Metric {
        name: "tollgate_call_seconds",
        kind: Histogram(CALL_SECONDS),
        labels: &["endpoint", "ending"],
        help: "From a model call's first byte to its end.",
    },
    Metric {
        name: "tollgate_refusals_total",
        kind: Counter,
        labels: &["code"],
        help: "Answers of the gateway in place of the provider, by error code.",
    },
    Metric {
        name: "tollgate_denied_total",
        kind: Counter,
        labels: &["reason"],
        help: "Requests without a valid token, by what is wrong with it.",
    },
    Metric {
        name: "tollgate_jwks_keys",
        kind: Gauge,
        labels: &[],
        help: "Usable keys of the issuer. 0: every token is denied.",
    },
    Metric {
        name: "tollgate_jwks_fetches_total",
        kind: Counter,
        labels: &["outcome"],
        help: "Fetches of the issuer's key set, by outcome.",
    },
    Metric {
        name: "tollgate_holds_total",
        kind: Counter,
        labels: &["verdict"],
        help: "Holds that were asked for, by verdict.",
    },
    Metric {
        name: "tollgate_holds_open",
        kind: Gauge,
        labels: &[],
        help: "Calls of this process that have a hold.",
    },
    Metric {
        name: "tollgate_holds_given_back_total",
        kind: Counter,
        labels: &[],
        help: "Holds that were granted after their client had left, and released at once.",
    },
    Metric {
        name: "tollgate_hold_overruns_total",
        kind: Counter,
        labels: &[],
        help: "Calls that cost more than their upper bound. The next holds of their organizations are larger.",
    },
    Metric {
        name: "tollgate_hold_overruns_alert",
        kind: Gauge,
        labels: &[],
        help: "1: `credit.overruns_alert` calls cost more than their upper bounds within an hour. Look at `docs/operating.md`.",
    },
    Metric {
        name: "tollgate_hold_seconds",
        kind: Histogram(STORE_SECONDS),
        labels: &[],
        help: "Holding credits, with the wait for a connection.",
    },
    Metric {
        name: "tollgate_hold_batch_calls",
        kind: Histogram(BATCH_CALLS),
        labels: &[],
        help: "Holds of one organization in one statement.",
    },
    Metric {
        name: "tollgate_finish_seconds",
        kind: Histogram(STORE_SECONDS),
        labels: &[],
        help: "From a call's end until its settlement, usage and record are durable.",
    },
    Metric {
        name: "tollgate_finish_batch_calls",
        kind: Histogram(BATCH_CALLS),
        labels: &[],
        help: "Finishes of one organization in one statement.",
    },
    Metric {
        name: "tollgate_finish_retries_total",
        kind: Counter,
        labels: &[],
        help: "Finishes that could not be written and are tried again.",
    },
    Metric {
        name: "tollgate_finish_failures_total",
        kind: Counter,
        labels: &[],
        help: "Finishes that the database refused for good; their holds expire.",
    },
    Metric {
        name: "tollgate_answers_withheld_total",
        kind: Counter,
        labels: &[],
        help: "Answers that were withheld because their finish could not be written in time; it is written later, and says so.",
    },
    Metric {
        name: "tollgate_provider_head_seconds",
        kind: Histogram(CALL_SECONDS),
        labels: &["provider"],
        help: "From a request to a provider to the head of its answer.",
    },
    Metric {
        name: "tollgate_provider_failures_total",
        kind: Counter,
        labels: &["provider", "reason"],
        help: "Answers that a provider did not give, or not completely, by provider and reason.",
    },
    Metric {
        name: "tollgate_pool_size",
        kind: Gauge,
        labels: &[],
        help: "Connections to Postgres.",
    },
    Metric {
        name: "tollgate_pool_available",
        kind: Gauge,
        labels: &[],
        help: "Connections to Postgres that are idle.",
    },
    Metric {
        name: "tollgate_pool_waiting",
        kind: Gauge,
        labels: &[],
        help: "Statements that wait for a connection.",
    },
    Metric {
        name: "tollgate_pool_timeouts_total",
        kind: Counter,
        labels: &["what"],
        help: "Waits for Postgres that ran out of time, by what was waited for.",
    },
    Metric {
        name: "tollgate_pool_discarded_total",
        kind: Counter,
        labels: &[],
        help: "Connections that were closed because a statement on them was cut off.",
    },
    Metric {
        name: "tollgate_pool_conflicts_total",
        kind: Counter,
        labels: &[],
        help: "Statements that lost a deadlock and were sent again.",
    },
    Metric {
        name: "tollgate_listen_connected",
        kind: Gauge,
        labels: &[],
        help: "Databases whose notices of changes and kill switches are heard.",
    },
    Metric {
        name: "tollgate_places_looked_up_total",
        kind: Counter,
        labels: &[],
        help: "Reads of the directory of placements.",
    },
    Metric {
        name: "tollgate_moves_waited_total",
        kind: Counter,
        labels: &[],
        help: "Waits for the end of an organization's move to another place.",
    },
    Metric {
        name: "tollgate_books_organizations",
        kind: Gauge,
        labels: &[],
        help: "Organizations whose books the last check read.",
    },
    Metric {
        name: "tollgate_books_broken",
        kind: Gauge,
        labels: &[],
        help: "Organizations with a finding: `tollgate reconcile` names it. Above 0 there is a fault.",
    },
    Metric {
        name: "tollgate_books_findings",
        kind: Gauge,
        labels: &[],
        help: "Findings of the last check, at most a hundred of each kind.",
    },
    Metric {
        name: "tollgate_books_holds_expired",
        kind: Gauge,
        labels: &[],
        help: "Calls without an end whose hold has expired.",
    },
    Metric {
        name: "tollgate_books_unbilled_dollars_max",
        kind: Gauge,
        labels: &[],
        help: "The most that those calls may have used without being charged, in dollars.",
    },
    Metric {
        name: "tollgate_books_checked_at_seconds",
        kind: Gauge,
        labels: &[],
        help: "When the last check of all books ended, in seconds since 1970.",
    },
    Metric {
        name: "tollgate_books_check_seconds",
        kind: Histogram(CALL_SECONDS),
        labels: &[],
        help: "Checking the books of all organizations.",
    },
    Metric {
        name: "tollgate_books_check_failures_total",
        kind: Counter,
        labels: &[],
        help: "Checks that could not be completed; the figures are those of the last completed one.",
    },
];

impl Metric {
    /// The unit, which the name ends in. A name without one counts something.
    fn unit(&self) -> Option<Unit> {
        match self.name {
            name if name.ends_with("_seconds") => Some(Unit::Seconds),
            // The recorder knows no money.
            name if name.contains("_dollars") => None,
            _ => Some(Unit::Count),
        }
    }

    /// Tells the recorder of this process about the metric.
    pub(super) fn describe(&self) {
        let Self { name, help, .. } = *self;
        match (self.kind, self.unit()) {
            (Counter, Some(unit)) => describe_counter!(name, unit, help),
            (Counter, None) => describe_counter!(name, help),
            (Gauge, Some(unit)) => describe_gauge!(name, unit, help),
            (Gauge, None) => describe_gauge!(name, help),
            (Histogram(_), Some(unit)) => describe_histogram!(name, unit, help),
            (Histogram(_), None) => describe_histogram!(name, help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_metrics_lists_each_of_them_as_it_is_described() {
        let page = include_str!("../../docs/metrics.md");
        let (list, _) = page.split_once("\n## ").unwrap();
        let rows: Vec<&str> = list.lines().filter(|line| line.starts_with("| `")).collect();
        let kind = |kind| match kind {
            Counter => "counter",
            Gauge => "gauge",
            Histogram(_) => "histogram",
        };
        let expected: Vec<String> = METRICS
            .iter()
            .map(|metric| {
                let labels: Vec<_> =
                    metric.labels.iter().map(|label| format!("`{label}`")).collect();
                let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
                format!(
                    "| `{}` | {} | {labels} | {} |",
                    metric.name,
                    kind(metric.kind),
                    metric.help
                )
            })
            .collect();
        assert_eq!(rows, expected);
    }
}
