//! Calls as the metrics see them.

use std::time::Duration;

use metrics::{Key, Label, Level, Metadata};

use crate::domain::{dialect::Endpoint, finish::Ending};

/// What the metrics of one endpoint and ending are called.
struct Keys {
    calls: Key,
    seconds: Key,
}

/// Counts a call that has ended.
///
/// The names stand in the program, labels and hash included: put together for each call, as the macros
/// do it for labels that vary, they cost more than the counting.
pub(super) fn ended(endpoint: Endpoint, ending: Ending, latency: Duration) {
    static METADATA: Metadata<'static> =
        Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
    let keys = keys(endpoint, ending);
    metrics::with_recorder(|recorder| {
        recorder.register_counter(&keys.calls, &METADATA).increment(1);
        recorder.register_histogram(&keys.seconds, &METADATA).record(latency);
    });
}

fn keys(endpoint: Endpoint, ending: Ending) -> &'static Keys {
    macro_rules! of {
        ($endpoint:ident, $ending:ident) => {{
            static LABELS: [Label; 2] = [
                Label::from_static_parts("endpoint", Endpoint::$endpoint.as_str()),
                Label::from_static_parts("ending", Ending::$ending.as_str()),
            ];
            static KEYS: Keys = Keys {
                calls: Key::from_static_parts("tollgate_calls_total", &LABELS),
                seconds: Key::from_static_parts("tollgate_call_seconds", &LABELS),
            };
            &KEYS
        }};
        ($endpoint:ident) => {
            match ending {
                Ending::Complete => of!($endpoint, Complete),
                Ending::Failed => of!($endpoint, Failed),
                Ending::Abandoned => of!($endpoint, Abandoned),
                Ending::Refused => of!($endpoint, Refused),
                Ending::Cut => of!($endpoint, Cut),
            }
        };
    }
    match endpoint {
        Endpoint::ChatCompletions => of!(ChatCompletions),
        Endpoint::Embeddings => of!(Embeddings),
        Endpoint::Messages => of!(Messages),
    }
}
