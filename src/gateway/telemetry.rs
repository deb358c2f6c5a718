//! Logs and metrics of the process.
//!
//! Both are for operators and contain request ids, organizations and figures. At no level do they contain prompts,
//! answers, tokens or keys.

use std::{io, sync::OnceLock};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

use super::{
    config::{ConfigError, Log, LogFormat},
    metrics_list::{Kind, METRICS, Metric},
};

/// Makes the whole process log to standard error. A second call changes nothing.
///
/// Fails if the level cannot be parsed.
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
    // A program that embeds the gateway may have set a subscriber before; that one stays.
    drop(set);
    Ok(())
}

/// The metrics of this process, as text for a scraper.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// The recorder of this process, installed by the first call.
    ///
    /// If another recorder was installed before, that recorder gets the values, and this one renders nothing.
    pub fn install() -> Self {
        static RECORDER: OnceLock<Metrics> = OnceLock::new();
        RECORDER.get_or_init(Self::first).clone()
    }

    fn first() -> Self {
        let mut builder = PrometheusBuilder::new();
        for metric in METRICS {
            let Kind::Histogram(buckets) = metric.kind else { continue };
            let name = Matcher::Full(metric.name.to_owned());
            // Fails only for an empty list of buckets; then the histogram is a summary.
            builder = match builder.set_buckets_for_metric(name, buckets) {
                Ok(builder) => builder,
                Err(_) => PrometheusBuilder::new(),
            };
        }
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_ok() {
            METRICS.iter().for_each(Metric::describe);
        }
        Self(handle)
    }

    /// All metrics in the text format of Prometheus.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds the samples that histograms have gathered. Must be called every few seconds, or memory grows.
    pub fn tidy(&self) {
        self.0.run_upkeep();
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
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
