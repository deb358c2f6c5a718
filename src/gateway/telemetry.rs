//! Logs and metrics of the process.
//!
//! Both are for operators: request ids, organizations, figures. Prompts, answers, tokens and keys
//! are in neither, at any level.

use std::{io, sync::OnceLock};

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

use super::config::{ConfigError, Log, LogFormat};

/// Logs to standard error from now on, for the whole process. A second call changes nothing.
///
/// Fails where the level cannot be read.
pub fn log_to_stderr(log: &Log) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&log.level).map_err(|error| ConfigError::Invalid {
        key: "log.level".to_owned(),
        problem: format!("{error}. Write a level (error, warn, info, debug, trace) or directives such as `info,tollgate::access=warn`"),
    })?;
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    let set = match log.format {
        LogFormat::Text => {
            registry.with(lines.with_ansi(io::IsTerminal::is_terminal(&io::stderr()))).try_init()
        }
        LogFormat::Json => registry
            .with(lines.json().flatten_event(true).with_current_span(true).with_span_list(false))
            .try_init(),
    };
    // Somebody who embeds the gateway has set one before: theirs stays.
    drop(set);
    Ok(())
}

/// The metrics of this process, as text for a scraper.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// The recorder of this process, installed by the first call.
    ///
    /// Where another recorder has been installed before, that one gets the values and this one
    /// renders nothing.
    pub fn install() -> Self {
        static RECORDER: OnceLock<Metrics> = OnceLock::new();
        RECORDER.get_or_init(Self::first).clone()
    }

    fn first() -> Self {
        let mut builder = PrometheusBuilder::new();
        for (name, buckets) in HISTOGRAMS {
            // Fails for an empty list only; then the histogram is a summary.
            builder =
                match builder.set_buckets_for_metric(Matcher::Full((*name).to_owned()), buckets) {
                    Ok(builder) => builder,
                    Err(_) => PrometheusBuilder::new(),
                };
        }
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_ok() {
            describe();
        }
        Self(handle)
    }

    /// Everything in the text format of Prometheus.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds what histograms have gathered since: every few seconds, or memory grows.
    pub fn tidy(&self) {
        self.0.run_upkeep();
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// Seconds: from a cached decision's to a long stream's.
const CALL_SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    120.0, 300.0,
];
/// Seconds: from a statement on the same host to a database in distress.
const STORE_SECONDS: &[f64] =
    &[0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Calls of one statement: one, where nobody else came meanwhile.
const BATCH_CALLS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

const HISTOGRAMS: &[(&str, &[f64])] = &[
    ("tollgate_http_request_seconds", CALL_SECONDS),
    ("tollgate_call_seconds", CALL_SECONDS),
    ("tollgate_finish_seconds", STORE_SECONDS),
    ("tollgate_hold_seconds", STORE_SECONDS),
    ("tollgate_books_check_seconds", CALL_SECONDS),
    ("tollgate_provider_head_seconds", CALL_SECONDS),
    ("tollgate_hold_batch_calls", BATCH_CALLS),
    ("tollgate_finish_batch_calls", BATCH_CALLS),
];

fn describe() {
    describe_counter!(
        "tollgate_http_requests_total",
        Unit::Count,
        "Requests by route and class of status (`none`: the client left before the answer)."
    );
    describe_histogram!(
        "tollgate_http_request_seconds",
        Unit::Seconds,
        "From a request's head to its answer's last byte."
    );
    describe_gauge!(
        "tollgate_http_requests_open",
        Unit::Count,
        "Requests whose answer has not ended."
    );
    describe_counter!("tollgate_calls_total", Unit::Count, "Model calls by endpoint and ending.");
    describe_histogram!(
        "tollgate_call_seconds",
        Unit::Seconds,
        "From a model call's first byte to its end."
    );
    describe_counter!(
        "tollgate_refusals_total",
        Unit::Count,
        "Answers given by a layer instead of the provider, by code."
    );
    describe_gauge!(
        "tollgate_holds_open",
        Unit::Count,
        "Calls of this process that credits are held for."
    );
    describe_histogram!(
        "tollgate_hold_seconds",
        Unit::Seconds,
        "Setting credits aside, with the wait for a connection."
    );
    describe_histogram!(
        "tollgate_finish_seconds",
        Unit::Seconds,
        "Writing a call's settlement, usage and record until they are durable."
    );
    describe_counter!(
        "tollgate_finish_retries_total",
        Unit::Count,
        "Finishes that could not be written at once."
    );
    describe_counter!(
        "tollgate_finish_failures_total",
        Unit::Count,
        "Finishes that the store refused; their holds expire."
    );
    describe_gauge!("tollgate_pool_size", Unit::Count, "Connections to Postgres.");
    describe_gauge!(
        "tollgate_pool_available",
        Unit::Count,
        "Connections to Postgres that are idle."
    );
    describe_gauge!("tollgate_pool_waiting", Unit::Count, "Statements that wait for a connection.");
    describe_gauge!(
        "tollgate_listen_connected",
        Unit::Count,
        "Databases whose changes of policies and kill switches are heard of at once."
    );
    describe_callers();
    describe_store();
    describe_books();
}

fn describe_callers() {
    describe_counter!(
        "tollgate_denied_total",
        Unit::Count,
        "Requests without a token that is good, by what is wrong with it."
    );
    describe_counter!(
        "tollgate_jwks_fetches_total",
        Unit::Count,
        "Fetches of the issuer's key set, by outcome."
    );
    describe_gauge!(
        "tollgate_jwks_keys",
        Unit::Count,
        "Usable keys of the issuer. None: every token is denied."
    );
    describe_histogram!(
        "tollgate_provider_head_seconds",
        Unit::Seconds,
        "From a request to a provider to the head of its answer."
    );
    describe_counter!(
        "tollgate_provider_failures_total",
        Unit::Count,
        "Answers that a provider did not give, or not to their end, by provider and reason."
    );
}

fn describe_store() {
    describe_counter!(
        "tollgate_holds_total",
        Unit::Count,
        "Holds that were asked for, by verdict."
    );
    describe_histogram!(
        "tollgate_hold_batch_calls",
        Unit::Count,
        "Calls of one organization whose holds went as one statement."
    );
    describe_histogram!(
        "tollgate_finish_batch_calls",
        Unit::Count,
        "Calls of one organization whose finishes went as one statement."
    );
    describe_counter!(
        "tollgate_holds_given_back_total",
        Unit::Count,
        "Holds whose clients left before they were granted."
    );
    describe_counter!(
        "tollgate_pool_conflicts_total",
        Unit::Count,
        "Statements that lost a deadlock and were sent again."
    );
    describe_counter!(
        "tollgate_pool_timeouts_total",
        Unit::Count,
        "Waits for Postgres that ran out of time, by what was waited for."
    );
    describe_counter!(
        "tollgate_pool_discarded_total",
        Unit::Count,
        "Connections that were given up because a statement on them was cut off."
    );
    describe_counter!(
        "tollgate_moves_waited_total",
        Unit::Count,
        "Waits for the end of an organization's move to another place."
    );
    describe_counter!(
        "tollgate_places_looked_up_total",
        Unit::Count,
        "Questions to the directory where an organization is."
    );
}

fn describe_books() {
    describe_gauge!(
        "tollgate_books_broken",
        Unit::Count,
        "Organizations whose books are wrong: `tollgate reconcile` says what. Never more than 0, unless there is a fault."
    );
    describe_gauge!(
        "tollgate_books_findings",
        Unit::Count,
        "What is wrong with them, a hundred of each at the most."
    );
    describe_gauge!(
        "tollgate_books_organizations",
        Unit::Count,
        "Organizations whose books were checked."
    );
    describe_gauge!(
        "tollgate_books_holds_expired",
        Unit::Count,
        "Holds that ran out of time, and whose calls have not ended yet."
    );
    describe_gauge!(
        "tollgate_books_unbilled_dollars_max",
        "What these calls may have used and were not charged for, at the most, in dollars."
    );
    describe_gauge!(
        "tollgate_books_checked_at_seconds",
        Unit::Seconds,
        "When the last check of all books ended, since 1970. One that grows old is an alarm."
    );
    describe_histogram!(
        "tollgate_books_check_seconds",
        Unit::Seconds,
        "Checking the books of all organizations."
    );
    describe_counter!(
        "tollgate_books_check_failures_total",
        Unit::Count,
        "Checks that could not be made to the end; the figures are of the last one that was."
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_rendered_with_its_description_and_its_buckets() {
        let metrics = Metrics::install();
        metrics::histogram!("tollgate_finish_seconds").record(0.0007);
        metrics::counter!("tollgate_refusals_total", "code" => "budget_exceeded").increment(2);
        let text = metrics.render();
        assert!(text.contains("# TYPE tollgate_finish_seconds histogram"), "{text}");
        assert!(text.contains("tollgate_finish_seconds_bucket{le=\"0.001\"}"), "{text}");
        assert!(text.contains("# HELP tollgate_refusals_total"), "{text}");
    }

    #[test]
    fn a_level_that_cannot_be_read_is_refused_with_its_key() {
        let log = Log { level: "tollgate=loud".to_owned(), ..Log::default() };
        let error = log_to_stderr(&log).unwrap_err().to_string();
        assert!(error.contains("log.level") && error.contains("info"), "{error}");
    }
}
