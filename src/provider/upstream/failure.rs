//! A provider's failure in metrics and logs.

use std::{error::Error, fmt::Write as _, sync::Arc};

/// Counts an answer that a provider did not give, or did not complete.
pub(super) fn count_failure(provider: &Arc<str>, reason: &'static str) {
    let provider = Arc::clone(provider);
    metrics::counter!("tollgate_provider_failures_total", "provider" => provider, "reason" => reason).increment(1);
}

/// An error and its causes, in one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string does not fail.
        let _written = write!(line, ": {error}");
        cause = error.source();
    }
    line
}
