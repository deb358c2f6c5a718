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

/// Behind one pointer: a service is cloned for every call.
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

    /// Holds organizations to the rates in their policies, and their teams, people, keys and models to
    /// theirs. A changed rate counts from the next call on, with what has been used under the old one.
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

    /// Default: none. Where the model's own output maximum stands, for calls whose caller and policy
    /// set no cap; the same book as `CreditLayer`'s, so that both reckon with the same figure.
    #[must_use]
    pub fn prices(self, prices: Prices) -> Self {
        self.set(|settings| settings.prices = Some(prices))
    }

    /// Default 4096. The output tokens that a call is reckoned with where caller, policy and price
    /// book set none; the same as `CreditLayer`'s.
    #[must_use]
    pub fn output_tokens_default(self, tokens: NonZeroU32) -> Self {
        self.set(|settings| settings.output_tokens_default = tokens)
    }

    /// Default [`Replica::ALONE`]. Which of several processes that share the load this one is: each grants
    /// its share of every limit.
    #[must_use]
    pub fn replica(self, replica: Replica) -> Self {
        self.set(|settings| settings.replica = replica)
    }

    /// Default 1,000,000. Of about how many limits the counts are kept: each organization, team, person and
    /// key with a limit that has called within a minute is one. At the default they take some 60 MB.
    /// Those are forgotten whose buckets are full and who have no call in flight; where there are more,
    /// those that would be full the soonest. Starts the counts anew.
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
