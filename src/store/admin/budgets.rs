//! Budgets: their caps, their usage, and the times at which thresholds were passed.

use std::num::NonZeroU32;

use serde::Serialize;

use crate::{
    domain::{
        credits::Credits,
        hold::{Unit, Window},
        ids::OrganizationId,
        scope::Scope,
    },
    store::{StoreError, StoreFuture},
};

/// The scope and the window of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budgeted<'a> {
    /// The scope.
    pub scope: Scope,
    /// The id in the scope: a team's or key's UUID as tokens spell it, a person's `sub`, or [`Scope::EACH`].
    /// Empty for the organization.
    pub scope_id: &'a str,
    /// The calendar window, in the organization's time zone.
    pub window: Window,
}

/// A change of a cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CapChange {
    /// The cap stays as it is.
    #[default]
    Keep,
    /// The cap is removed.
    Lift,
    /// The new cap, in tokens or in nano-dollars; not below zero.
    To(i64),
}

/// A budget: its caps, and its usage in the current window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// The scope.
    pub scope: Scope,
    /// The id in the scope, as it is stored. [`Scope::EACH`] is a separate budget for each member.
    pub scope_id: String,
    /// `day` or `month`.
    pub window: Window,
    /// The cap in tokens, if there is one.
    pub tokens_max: Option<i64>,
    /// The cap in nano-dollars, if there is one.
    pub credits_max: Option<Credits>,
    /// The usage in the current window; `None` before the first call in it that the budget counts.
    pub now: Option<WindowUsage>,
}

/// The usage of a budget in the current window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WindowUsage {
    /// The id whose usage this is. For a budget of [`Scope::EACH`], the id of one member.
    pub scope_id: String,
    /// The first day of the window.
    pub start: String,
    /// Tokens of calls that have ended.
    pub tokens_used: i64,
    /// Tokens that open calls hold.
    pub tokens_held: i64,
    /// Nano-dollars of calls that have ended.
    pub credits_used: Credits,
    /// Nano-dollars that open calls hold.
    pub credits_held: Credits,
}

/// A budget reached a threshold, or refused a call that would not have fitted after any wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BudgetEvent {
    /// The scope of the budget.
    pub scope: Scope,
    /// The id in the scope.
    pub scope_id: String,
    /// `day` or `month`.
    pub window: Window,
    /// The window's first day.
    pub start: String,
    /// The unit of `used` and `cap`.
    pub unit: Unit,
    /// 50, 80 or 100.
    pub percent: i32,
    /// Whether a call was refused.
    pub refused: bool,
    /// The usage at that time.
    pub used: i64,
    /// The cap at that time.
    pub cap: i64,
    /// The time, in UTC, in the format of RFC 3339.
    pub at: String,
}

/// A budget was not set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BudgetError {
    /// The budget would have no cap. To get there, remove the budget.
    #[error("a budget needs a cap in tokens or in credits")]
    Nothing,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sets budgets.
pub trait BudgetAdmin: Send + Sync {
    /// Changes the caps of a budget, or creates a budget. Returns the caps after that, in tokens and in nano-dollars.
    /// They apply from the next call on. A budget that is set within a window also counts earlier usage in that window.
    ///
    /// # Errors
    /// The budget would have no cap.
    fn set_budget<'a>(
        &'a self,
        id: OrganizationId,
        budgeted: Budgeted<'a>,
        tokens: CapChange,
        credits: CapChange,
    ) -> StoreFuture<'a, (Option<i64>, Option<Credits>), BudgetError>;

    /// Removes a budget. `false` if there was none.
    fn remove_budget<'a>(
        &'a self,
        id: OrganizationId,
        budgeted: Budgeted<'a>,
    ) -> StoreFuture<'a, bool>;

    /// The budgets of an organization, including those of its policy, with the current windows: at most a thousand, the
    /// most used ones first.
    fn budgets(&self, id: OrganizationId) -> StoreFuture<'_, Vec<Budget>>;

    /// The latest events of an organization's budgets, newest first.
    fn budget_events(
        &self,
        id: OrganizationId,
        count_max: NonZeroU32,
    ) -> StoreFuture<'_, Vec<BudgetEvent>>;
}
