//! [`CallLayer`] and what can be set on it.

use std::{sync::Arc, thread, time::Duration};

use tokio::sync::Semaphore;
use tower_layer::Layer;

use super::{Calls, Finisher, Heartbeats, KillSwitch};
use crate::domain::{endpoint::Endpoint, request::AllowedFields, tokens};

/// Applies [`Calls`]. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct CallLayer {
    settings: Arc<Settings>,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) finisher: Option<Finisher>,
    pub(super) endpoint: Option<Endpoint>,
    pub(super) allowed_fields: Arc<AllowedFields>,
    pub(super) body_bytes_max: usize,
    pub(super) body_wait: Duration,
    pub(super) answer_bytes_max: usize,
    pub(super) event_bytes_max: usize,
    pub(super) answer_wait: Duration,
    pub(super) finish_wait: Duration,
    pub(super) drain_max: Duration,
    pub(super) kill_switch: Option<KillSwitch>,
    pub(super) heartbeats: Option<Heartbeats>,
    /// Permits for reading long bodies: as many at once as there are processors.
    pub(super) readers: Arc<Semaphore>,
}

impl CallLayer {
    /// The longest request body, unless [`body_bytes_max`](Self::body_bytes_max) says otherwise.
    pub const BODY_BYTES_MAX: usize = 4 << 20;
    /// How long a request body may take to arrive, unless [`body_wait`](Self::body_wait) says otherwise.
    pub const BODY_WAIT: Duration = Duration::from_mins(1);
    /// How long an answer may take, unless [`answer_wait`](Self::answer_wait) says otherwise.
    pub const ANSWER_WAIT: Duration = Duration::from_hours(1);

    /// Ends every call through `finisher`: its hold is settled and its record is written durably before the last bytes
    /// of the answer are sent.
    ///
    /// The first layer of a process starts a thread that loads the tables for counting tokens ([`tokens`]).
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
                allowed_fields: Arc::default(),
                body_bytes_max: Self::BODY_BYTES_MAX,
                body_wait: Self::BODY_WAIT,
                answer_bytes_max: 64 << 20,
                event_bytes_max: 4 << 20,
                answer_wait: Self::ANSWER_WAIT,
                finish_wait: Duration::from_secs(5),
                drain_max: Duration::MAX,
                kill_switch: None,
                heartbeats: None,
                readers: Arc::new(Semaphore::new(processors)),
            }),
        }
    }

    /// Treats every request as a call of this endpoint, whatever its path. Default: the path says which endpoint
    /// ([`Endpoint::of_path`]).
    #[must_use]
    pub fn endpoint(self, endpoint: Endpoint) -> Self {
        self.set(|settings| settings.endpoint = Some(endpoint))
    }

    /// Default: none. Fields that pass although they are not known here ([`AllowedFields`]). What they cost beyond their
    /// text is in no hold.
    #[must_use]
    pub fn allowed_fields(self, allowed: AllowedFields) -> Self {
        self.set(|settings| settings.allowed_fields = Arc::new(allowed))
    }

    /// Default 4 MiB. The longest request body; a longer one is refused with 413.
    #[must_use]
    pub fn body_bytes_max(self, bytes: usize) -> Self {
        self.set(|settings| settings.body_bytes_max = bytes)
    }

    /// Default 60 s. How long a request body may take to arrive; after that the call is refused with 408.
    /// Without a bound, one caller could occupy every connection with bodies that never arrive.
    #[must_use]
    pub fn body_wait(self, wait: Duration) -> Self {
        self.set(|settings| settings.body_wait = wait)
    }

    /// Default 64 MiB. The longest answer that is not a stream; a longer one is cut off with 502.
    #[must_use]
    pub fn answer_bytes_max(self, bytes: usize) -> Self {
        self.set(|settings| settings.answer_bytes_max = bytes)
    }

    /// Default 4 MiB. The longest single event of a stream; a longer event ends the stream with an error event.
    #[must_use]
    pub fn event_bytes_max(self, bytes: usize) -> Self {
        self.set(|settings| settings.event_bytes_max = bytes)
    }

    /// Default 1 h. How long an answer may take to its last byte, counted from the arrival of the call. After that a
    /// stream ends with an error event. Any other answer is given up with 502, or 504 if not even its head has come. If
    /// more may have been done than was seen, the hold is charged.
    ///
    /// A stream is also ended if the provider ignores the output cap and writes far more than the call may have.
    #[must_use]
    pub fn answer_wait(self, wait: Duration) -> Self {
        self.set(|settings| settings.answer_wait = wait)
    }

    /// Default 5 s. How long the end of an answer waits for its finish to be durable. After that the client gets 503 or
    /// an error event. The finish then says that the call failed, and is retried until it is written. If an attempt to
    /// write it has begun, the answer waits up to 5 s more: the attempt may succeed.
    #[must_use]
    pub fn finish_wait(self, wait: Duration) -> Self {
        self.set(|settings| settings.finish_wait = wait)
    }

    /// Default: as long as the answer may take ([`answer_wait`](Self::answer_wait)). How long an answer is read on for its
    /// usage after its client has left or was told that the call is over. After that, its call may be charged its hold.
    #[must_use]
    pub fn drain_max(self, limit: Duration) -> Self {
        self.set(|settings| settings.drain_max = limit)
    }

    /// Default: none. Cuts open calls when a kill switch is turned on for them.
    #[must_use]
    pub fn kill_switch(self, switch: KillSwitch) -> Self {
        self.set(|settings| settings.kill_switch = Some(switch))
    }

    /// Default: none. Tells the ledger which calls are still open, so that their holds do not expire.
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
