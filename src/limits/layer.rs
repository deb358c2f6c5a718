use std::{num::NonZeroU32, sync::Arc};

use tower_layer::Layer;

use super::{Limits, limiter::Limiter};
use crate::{
    domain::rate::Replica,
    store::{Policies, Prices},
};

/// Applies [`Limits`]. See the [module docs](super).
///
/// Clones, and all services made from them, share the counts.
#[derive(Clone, Debug)]
pub struct LimitsLayer {
    settings: Arc<Settings>,
}

/// Behind one pointer, because a service is cloned for every call.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) policies: Policies,
    pub(super) prices: Option<Prices>,
    pub(super) output_tokens_default: NonZeroU32,
    pub(super) replica: Replica,
    pub(super) limiter: Arc<Limiter>,
}

impl LimitsLayer {
    const KEYS_MAX: usize = 1_000_000;

    /// Enforces the rates in organizations' policies, and those of their teams, people, keys and models.
    /// A changed rate applies from the next call on. Usage under the old rate still counts.
    pub fn new(policies: Policies) -> Self {
        Self {
            settings: Arc::new(Settings {
                policies,
                prices: None,
                output_tokens_default: NonZeroU32::new(4096).unwrap_or(NonZeroU32::MIN),
                replica: Replica::ALONE,
                limiter: Arc::new(Limiter::new(Self::KEYS_MAX)),
            }),
        }
    }

    /// Default: none. The prices that name each model's output maximum, which bounds a call if neither
    /// caller nor policy sets a cap. Pass those of `CreditLayer`, so that both layers use the same bound.
    #[must_use]
    pub fn prices(self, prices: Prices) -> Self {
        self.set(|settings| settings.prices = Some(prices))
    }

    /// Default 4096. The output tokens to assume for a call if caller, policy and price book set no cap.
    /// Use the value of `CreditLayer`.
    #[must_use]
    pub fn output_tokens_default(self, tokens: NonZeroU32) -> Self {
        self.set(|settings| settings.output_tokens_default = tokens)
    }

    /// Default [`Replica::ALONE`]. Which of several processes that share the load this one is. Each
    /// process grants its share of every limit.
    #[must_use]
    pub fn replica(self, replica: Replica) -> Self {
        self.set(|settings| settings.replica = replica)
    }

    /// Default 1,000,000, which takes some 60 MB. For about how many limits the counts are kept. Each
    /// organization, team, person and key that has a limit and has called within a minute needs one.
    ///
    /// A count with full buckets and no call in flight is forgotten. If there are too many others, those
    /// that would be full soonest are forgotten. This method resets all counts.
    #[must_use]
    pub fn keys_max(self, keys: usize) -> Self {
        self.set(|settings| settings.limiter = Arc::new(Limiter::new(keys)))
    }

    pub(super) fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }

    #[cfg(test)]
    pub(super) fn limiter(&self) -> &Limiter {
        &self.settings.limiter
    }
}

impl<S> Layer<S> for LimitsLayer {
    type Service = Limits<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Limits::new(inner, Arc::clone(&self.settings))
    }
}
