//! Budgets: what an organization, its teams, people and keys may use in a day or a month.

use std::num::NonZeroU32;

use serde_json::{Value, json};

use super::{
    problem::{Input, Problem},
    scoped::Scoped,
};
use crate::{
    domain::{credits::Credits, hold::Window, ids::OrganizationId},
    store::admin::{Budget, BudgetAdmin, BudgetError, BudgetEvent, Budgeted, CapChange},
};

/// How many events are shown by default.
pub(crate) const EVENTS_DEFAULT: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// The scope and the window of a budget.
#[derive(Debug)]
pub(crate) struct BudgetOf {
    pub(crate) scoped: Scoped,
    pub(crate) window: Window,
}

impl BudgetOf {
    fn budgeted(&self) -> Budgeted<'_> {
        let Self { scoped: Scoped { scope, scope_id, .. }, window } = self;
        Budgeted { scope: *scope, scope_id, window: *window }
    }
}

/// Checks that a cap in tokens can be set.
pub(crate) fn tokens_cap(cap: i64) -> Result<CapChange, Input> {
    if cap >= 0 { Ok(CapChange::To(cap)) } else { Err(Input::TokensCap) }
}

/// Checks that a cap in credits can be set.
pub(crate) fn credits_cap(cap: Credits) -> Result<CapChange, Input> {
    if cap >= Credits::ZERO { Ok(CapChange::To(cap.nanos())) } else { Err(Input::CreditsCap) }
}

pub(crate) async fn set(
    store: &impl BudgetAdmin,
    of: BudgetOf,
    tokens: CapChange,
    credits: CapChange,
) -> Result<Budget, Problem> {
    let organization = of.scoped.organization;
    let set = store.set_budget(organization, of.budgeted(), tokens, credits).await;
    let (tokens_max, credits_max) = set.map_err(|error| match error {
        BudgetError::Nothing => Problem::NothingCapped,
        BudgetError::Store(error) => Problem::of(organization)(error),
    })?;
    let BudgetOf { scoped: Scoped { scope, scope_id, .. }, window } = of;
    Ok(Budget { scope, scope_id, window, tokens_max, credits_max, now: None })
}

/// A budget that was removed.
#[derive(Debug)]
pub(crate) struct Removed(pub(crate) BudgetOf);

pub(crate) async fn remove(store: &impl BudgetAdmin, of: BudgetOf) -> Result<Removed, Problem> {
    let organization = of.scoped.organization;
    let removed = store.remove_budget(organization, of.budgeted()).await;
    if removed.map_err(Problem::of(organization))? {
        Ok(Removed(of))
    } else {
        Err(Problem::NoSuchBudget)
    }
}

impl Removed {
    pub(crate) fn document(&self) -> Value {
        let BudgetOf { scoped: Scoped { organization, scope, scope_id }, window } = &self.0;
        json!({"organization_id": organization, "scope": scope, "scope_id": scope_id, "window": window})
    }
}

pub(crate) async fn show(
    store: &impl BudgetAdmin,
    organization: OrganizationId,
) -> Result<Vec<Budget>, Problem> {
    store.budgets(organization).await.map_err(Problem::of(organization))
}

pub(crate) fn document(organization: OrganizationId, budgets: &[Budget]) -> Value {
    json!({"organization_id": organization, "budgets": budgets})
}

/// The latest events, newest first.
pub(crate) async fn events(
    store: &impl BudgetAdmin,
    organization: OrganizationId,
    count_max: NonZeroU32,
) -> Result<Vec<BudgetEvent>, Problem> {
    store.budget_events(organization, count_max).await.map_err(Problem::of(organization))
}

pub(crate) fn events_document(organization: OrganizationId, events: &[BudgetEvent]) -> Value {
    json!({"organization_id": organization, "events": events})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_is_not_below_zero() {
        assert_eq!(tokens_cap(0), Ok(CapChange::To(0)));
        assert_eq!(tokens_cap(i64::MAX), Ok(CapChange::To(i64::MAX)));
        assert_eq!(tokens_cap(-1), Err(Input::TokensCap));
        assert_eq!(credits_cap(Credits::ZERO), Ok(CapChange::To(0)));
        assert_eq!(credits_cap(Credits::from_nanos(5)), Ok(CapChange::To(5)));
        assert_eq!(credits_cap(Credits::from_nanos(-1)), Err(Input::CreditsCap));
    }
}
