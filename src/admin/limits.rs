//! Rate limits in addition to the policy's.

use std::num::NonZeroU32;

use serde_json::{Value, json};

use super::{
    problem::{Input, Problem},
    scoped::Scoped,
};
use crate::{
    domain::{
        ids::OrganizationId,
        policy::{RateLimit, Rates},
    },
    store::admin::{
        LimitAdmin, Limited, OrganizationAdmin, RateChange, RateChanges, RateLimitError,
    },
};

/// The scope and the models of a limit.
#[derive(Debug)]
pub(crate) struct LimitOf {
    scoped: Scoped,
    model_pattern: String,
}

impl LimitOf {
    pub(crate) fn new(scoped: Scoped, model_pattern: String) -> Result<Self, Input> {
        if model_pattern.is_empty() {
            return Err(Input::NoModel);
        }
        Ok(Self { scoped, model_pattern })
    }

    fn limited(&self) -> Limited<'_> {
        let Self { scoped: Scoped { scope, scope_id, .. }, model_pattern } = self;
        Limited { scope: *scope, scope_id, model_pattern }
    }

    fn with(self, rates: Rates) -> RateLimit {
        let Self { scoped: Scoped { scope, scope_id, .. }, model_pattern } = self;
        RateLimit { scope, scope_id, model_pattern, rates }
    }
}

/// Checks that a rate can be set.
pub(crate) fn rate(limit: u64) -> Result<RateChange, Input> {
    let limit = u32::try_from(limit).ok().and_then(NonZeroU32::new);
    limit.map(RateChange::To).ok_or(Input::Rate)
}

/// The current state of a limit.
#[derive(Debug)]
pub(crate) struct OneLimit {
    organization: OrganizationId,
    pub(crate) limit: RateLimit,
}

pub(crate) async fn set(
    store: &impl LimitAdmin,
    of: LimitOf,
    changes: RateChanges,
) -> Result<OneLimit, Problem> {
    let organization = of.scoped.organization;
    let set = store.set_rate_limit(organization, of.limited(), changes).await;
    let rates = set.map_err(|error| match error {
        RateLimitError::UnknownModel(pattern) => Problem::UnknownModel(pattern),
        RateLimitError::Nothing => Problem::NothingLimited,
        RateLimitError::Store(error) => Problem::of(organization)(error),
    })?;
    Ok(OneLimit { organization, limit: of.with(rates) })
}

/// Removes a limit, and returns it without rates.
pub(crate) async fn remove(store: &impl LimitAdmin, of: LimitOf) -> Result<OneLimit, Problem> {
    let organization = of.scoped.organization;
    let removed = store.remove_rate_limit(organization, of.limited()).await;
    if !removed.map_err(Problem::of(organization))? {
        return Err(Problem::NoSuchLimit);
    }
    Ok(OneLimit { organization, limit: of.with(Rates::default()) })
}

impl OneLimit {
    /// The document of this limit, with its rates at the top level as in the list of all limits.
    pub(crate) fn document(&self) -> Value {
        let mut document = json!(self.limit);
        if let Value::Object(fields) = &mut document {
            fields.insert("organization_id".into(), json!(self.organization));
        }
        document
    }
}

/// All limits of an organization.
#[derive(Debug)]
pub(crate) struct AllLimits {
    organization: OrganizationId,
    pub(crate) policy: Rates,
    pub(crate) limits: Vec<RateLimit>,
}

pub(crate) async fn show(
    store: &(impl LimitAdmin + OrganizationAdmin),
    organization: OrganizationId,
) -> Result<AllLimits, Problem> {
    let limits = store.rate_limits(organization).await.map_err(Problem::of(organization))?;
    let shown = store.organization(organization).await.map_err(Problem::of(organization))?;
    Ok(AllLimits { organization, policy: shown.policy.rates, limits })
}

impl AllLimits {
    pub(crate) fn document(&self) -> Value {
        json!({"organization_id": self.organization, "policy": self.policy, "limits": self.limits})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_positive_number_of_thirty_two_bits() {
        for fine in [1, 60, u64::from(u32::MAX)] {
            assert!(matches!(rate(fine), Ok(RateChange::To(to)) if u64::from(to.get()) == fine));
        }
        for wrong in [0, u64::from(u32::MAX) + 1, u64::MAX] {
            assert_eq!(rate(wrong), Err(Input::Rate), "{wrong}");
        }
    }
}
