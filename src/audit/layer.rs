use tower_layer::Layer;

use super::Audit;
use crate::{
    domain::policy::{Keep, Policy},
    store::Policies,
};

/// Applies [`Audit`]. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct AuditLayer {
    settings: Settings,
}

/// What is kept, and how many bytes of it.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) policies: Policies,
    pub(super) capture_bytes_max: usize,
}

impl AuditLayer {
    /// The most bytes that are kept of a text, unless [`capture_bytes_max`](Self::capture_bytes_max) says otherwise.
    pub const CAPTURE_BYTES_MAX: usize = 256 << 10;

    /// Keeps what the policy of the caller's organization lets it keep.
    pub const fn new(policies: Policies) -> Self {
        Self { settings: Settings { policies, capture_bytes_max: Self::CAPTURE_BYTES_MAX } }
    }

    /// Keeps the same for everybody.
    pub fn keeping(keep: Keep) -> Self {
        Self::new(Policies::fixed(Policy { keep, ..Policy::default() }))
    }

    /// Default 256 KiB. The most bytes of a prompt, and of a response, that are kept. A longer text is cut
    /// off, and the record says so. A call in flight takes up to twice as much memory.
    #[must_use]
    pub const fn capture_bytes_max(mut self, bytes: usize) -> Self {
        self.settings.capture_bytes_max = bytes;
        self
    }
}

impl<S> Layer<S> for AuditLayer {
    type Service = Audit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Audit::new(inner, self.settings.clone())
    }
}
