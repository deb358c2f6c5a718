//! A provider's failure in metrics.

use std::sync::Arc;

/// Counts an answer that a provider did not give, or did not complete.
pub(super) fn count_failure(provider: &Arc<str>, reason: &'static str) {
    let provider = Arc::clone(provider);
    metrics::counter!("tollgate_provider_failures_total", "provider" => provider, "reason" => reason).increment(1);
}
