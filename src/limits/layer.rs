use std::{num::NonZeroU32, sync::Arc};

use tower_layer::Layer;

use super::{Limits, limiter::Limiter};
use crate::store::{Policies, Prices};

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
    pub(super) replicas: NonZeroU32,
    pub(super) limiter: Arc<Limiter>,
}

impl LimitsLayer {
    const ORGANIZATIONS_MAX: usize = 100_000;

    /// Holds organizations to the rates in their policies. A changed policy counts from the next
    /// call on, with what has been used under the old one.
    pub fn new(policies: Policies) -> Self {
        Self {
            settings: Arc::new(Settings {
                policies,
                prices: None,
                output_tokens_default: NonZeroU32::new(4096).unwrap_or(NonZeroU32::MIN),
                replicas: NonZeroU32::MIN,
                limiter: Arc::new(Limiter::new(Self::ORGANIZATIONS_MAX)),
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

    /// Default 1. How many processes share the load: each grants this share of every limit, and at
    /// least one.
    #[must_use]
    pub fn replicas(self, replicas: NonZeroU32) -> Self {
        self.set(|settings| settings.replicas = replicas)
    }

    /// Default 100,000. How many organizations are remembered before those are forgotten whose
    /// buckets are full and who have no call in flight. Others are never forgotten. Starts the counts
    /// anew.
    #[must_use]
    pub fn organizations_max(self, organizations: usize) -> Self {
        self.set(|settings| settings.limiter = Arc::new(Limiter::new(organizations)))
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
