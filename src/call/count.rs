//! Counts ended calls in the metrics.

use std::{sync::LazyLock, time::Duration};

use metrics::{Key, Label, Level, Metadata};

use crate::domain::{endpoint::Endpoint, finish::Ending};

/// The metric keys of one endpoint and ending.
struct Keys {
    calls: Key,
    seconds: Key,
}

/// The metric keys of one endpoint.
struct Endings {
    endpoint: Endpoint,
    complete: Keys,
    failed: Keys,
    abandoned: Keys,
    refused: Keys,
    cut: Keys,
}

/// The keys of every endpoint, made once with their hashes. The macros would make keys with variable labels for every
/// call, which costs more than the counting.
static KEYS: LazyLock<Vec<Endings>> =
    LazyLock::new(|| Endpoint::ALL.iter().copied().map(Endings::of).collect());

impl Keys {
    fn of(endpoint: Endpoint, ending: Ending) -> Self {
        let labels = vec![
            Label::from_static_parts("endpoint", endpoint.as_str()),
            Label::from_static_parts("ending", ending.as_str()),
        ];
        Self {
            calls: Key::from_parts("tollgate_calls_total", labels.clone()),
            seconds: Key::from_parts("tollgate_call_seconds", labels),
        }
    }
}

impl Endings {
    fn of(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            complete: Keys::of(endpoint, Ending::Complete),
            failed: Keys::of(endpoint, Ending::Failed),
            abandoned: Keys::of(endpoint, Ending::Abandoned),
            refused: Keys::of(endpoint, Ending::Refused),
            cut: Keys::of(endpoint, Ending::Cut),
        }
    }

    const fn keys(&self, ending: Ending) -> &Keys {
        match ending {
            Ending::Complete => &self.complete,
            Ending::Failed => &self.failed,
            Ending::Abandoned => &self.abandoned,
            Ending::Refused => &self.refused,
            Ending::Cut => &self.cut,
        }
    }
}

/// Counts a call that has ended.
pub(super) fn ended(endpoint: Endpoint, ending: Ending, latency: Duration) {
    static METADATA: Metadata<'static> =
        Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
    let Some(endings) = KEYS.iter().find(|endings| endings.endpoint == endpoint) else { return };
    let keys = endings.keys(ending);
    metrics::with_recorder(|recorder| {
        recorder.register_counter(&keys.calls, &METADATA).increment(1);
        recorder.register_histogram(&keys.seconds, &METADATA).record(latency);
    });
}
