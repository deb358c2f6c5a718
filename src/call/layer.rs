//! [`CallLayer`] and what can be set on it.

use std::{sync::Arc, thread, time::Duration};

use tokio::sync::Semaphore;
use tower_layer::Layer;

use super::{Calls, Finisher, Heartbeats, KillSwitch};
use crate::domain::{endpoint::Endpoint, tokens};

/// Applies [`Calls`]. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct CallLayer {
    settings: Arc<Settings>,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) finisher: Option<Finisher>,
    pub(super) endpoint: Option<Endpoint>,
    pub(super) body_bytes_max: usize,
    pub(super) body_wait: Duration,
    pub(super) answer_bytes_max: usize,
    pub(super) event_bytes_max: usize,
    pub(super) answer_wait: Duration,
    pub(super) finish_wait: Duration,
    pub(super) drain_max: Duration,
    pub(super) kill_switch: Option<KillSwitch>,
    pub(super) heartbeats: Option<Heartbeats>,
    /// Places for reading long bodies: no more at once than there are processors.
    pub(super) readers: Arc<Semaphore>,
}

impl CallLayer {
    /// Ends every call in `finisher`: its hold is settled and its record written, durably, before
    /// the last of the answer is let go.
    ///
    /// The first layer of a process begins to read the tables that tokens are counted by
    /// ([`tokens`]), on a thread of its own.
    pub fn new(finisher: Finisher) -> Self {
        Self::with(Some(finisher))
    }

    /// Reads calls and meters answers, and writes nothing: for use without credits and audit.
    pub fn metering() -> Self {
        Self::with(None)
    }

    fn with(finisher: Option<Finisher>) -> Self {
        tokens::prepare();
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Self {
            settings: Arc::new(Settings {
                finisher,
                endpoint: None,
                body_bytes_max: 10 << 20,
                body_wait: Duration::from_mins(1),
                answer_bytes_max: 64 << 20,
                event_bytes_max: 4 << 20,
                answer_wait: Duration::from_hours(1),
                finish_wait: Duration::from_secs(5),
                drain_max: Duration::from_mins(2),
                kill_switch: None,
                heartbeats: None,
                readers: Arc::new(Semaphore::new(processors)),
            }),
        }
    }

    /// Default: told from the path ([`Endpoint::of_path`]). Every
    /// request is a call of this endpoint, whatever its path.
    #[must_use]
    pub fn endpoint(self, endpoint: Endpoint) -> Self {
        self.set(|settings| settings.endpoint = Some(endpoint))
    }

    /// Default 10 MiB. The longest request body; a longer one is refused with 413.
    #[must_use]
    pub fn body_bytes_max(self, bytes: usize) -> Self {
        self.set(|settings| settings.body_bytes_max = bytes)
    }

    /// Default 60 s. How long a request body may take to arrive; past it the call is refused with 408.
    /// Without a bound, one caller could hold every connection with calls that never come.
    #[must_use]
    pub fn body_wait(self, wait: Duration) -> Self {
        self.set(|settings| settings.body_wait = wait)
    }

    /// Default 64 MiB. The longest answer that is not a stream; a longer one is cut off with 502.
    #[must_use]
    pub fn answer_bytes_max(self, bytes: usize) -> Self {
        self.set(|settings| settings.answer_bytes_max = bytes)
    }

    /// Default 4 MiB. The longest single event of a stream; at a longer one the stream ends with an
    /// error event.
    #[must_use]
    pub fn event_bytes_max(self, bytes: usize) -> Self {
        self.set(|settings| settings.event_bytes_max = bytes)
    }

    /// Default 1 h. How long an answer may take to its last byte, counted from when the call came. Past it a stream
    /// ends with an error event, and what was delivered is settled; any other answer is given up with 502.
    ///
    /// A stream is also ended where far more was written than the call may have: the provider does not heed the cap.
    #[must_use]
    pub fn answer_wait(self, wait: Duration) -> Self {
        self.set(|settings| settings.answer_wait = wait)
    }

    /// Default 5 s. How long the end of an answer waits for its finish to be durable. Past it the
    /// client gets 503 or an error event; the finish is retried until it is written.
    #[must_use]
    pub fn finish_wait(self, wait: Duration) -> Self {
        self.set(|settings| settings.finish_wait = wait)
    }

    /// Default 120 s. How long an answer is read on for its usage after its client has left.
    #[must_use]
    pub fn drain_max(self, limit: Duration) -> Self {
        self.set(|settings| settings.drain_max = limit)
    }

    /// Default: none. What cuts open calls once a kill switch is on for them.
    #[must_use]
    pub fn kill_switch(self, switch: KillSwitch) -> Self {
        self.set(|settings| settings.kill_switch = Some(switch))
    }

    /// Default: none. Who tells the ledger which calls go on, so that their holds stand.
    #[must_use]
    pub fn heartbeats(self, heartbeats: Heartbeats) -> Self {
        self.set(|settings| settings.heartbeats = Some(heartbeats))
    }

    fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = Calls<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Calls::new(inner, Arc::clone(&self.settings))
    }
}
