use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use tower_layer::Layer;

use super::{Credit, overruns::Overruns};
use crate::store::{Ledger, Policies, Prices};

/// Applies [`Credit`]. See the [module docs](super).
#[derive(Clone)]
pub struct CreditLayer {
    settings: Arc<Settings>,
}

/// Behind one pointer, because a service is cloned for every call.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) policies: Policies,
    pub(super) prices: Prices,
    pub(super) hold_ttl: Duration,
    pub(super) output_tokens_default: NonZeroU32,
    pub(super) overruns: Arc<Overruns>,
    pub(super) overruns_alert: usize,
}

impl CreditLayer {
    /// How long a hold lasts without a heartbeat, unless [`hold_ttl`](Self::hold_ttl) says otherwise.
    pub const HOLD_TTL: Duration = Duration::from_mins(1);
    const OVERRUNS_ALERT: usize = 10;

    /// Takes holds in this ledger, by these policies and prices.
    pub fn new(ledger: impl Ledger, policies: Policies, prices: Prices) -> Self {
        let output_tokens_default = NonZeroU32::new(4096).unwrap_or(NonZeroU32::MIN);
        let ledger = Arc::new(ledger);
        Self {
            settings: Arc::new(Settings {
                ledger,
                policies,
                prices,
                hold_ttl: Self::HOLD_TTL,
                output_tokens_default,
                overruns: Arc::default(),
                overruns_alert: Self::OVERRUNS_ALERT,
            }),
        }
    }

    /// Default 1 minute. How long a hold lasts without a heartbeat of its call, as after a crash.
    ///
    /// [`Heartbeats`](crate::call::Heartbeats) renew the holds of open calls. Without heartbeats, set a time that is
    /// longer than the longest call. A hold that expires during its call is charged the usage that was known. The
    /// finish then charges the rest.
    #[must_use]
    pub fn hold_ttl(self, ttl: Duration) -> Self {
        self.set(|settings| settings.hold_ttl = ttl)
    }

    /// Default 4096. The output cap of a call if caller, policy and price book set none. It is sent
    /// upstream.
    #[must_use]
    pub fn output_tokens_default(self, tokens: NonZeroU32) -> Self {
        self.set(|settings| settings.output_tokens_default = tokens)
    }

    /// Default 10. As many calls within an hour that cost more than their holds are an alert: a line at level `error`,
    /// and the gauge `tollgate_hold_overruns_alert` is 1. 0: never.
    #[must_use]
    pub fn overruns_alert(self, calls: usize) -> Self {
        self.set(|settings| settings.overruns_alert = calls)
    }

    fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }
}

impl<S> Layer<S> for CreditLayer {
    type Service = Credit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Credit::new(inner, Arc::clone(&self.settings))
    }
}

impl fmt::Debug for CreditLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credit")
            .field("hold_ttl", &self.hold_ttl)
            .field("output_tokens_default", &self.output_tokens_default)
            .finish_non_exhaustive()
    }
}
