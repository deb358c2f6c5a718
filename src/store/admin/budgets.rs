//! Budgets: what is set, how far it is used, and when thresholds were passed.

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

/// Whose budget it is, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budgeted<'a> {
    /// The scope.
    pub scope: Scope,
    /// Which one of it: a team's or key's UUID as it is written in tokens, a person's `sub`, or [`Scope::EACH`].
    /// Empty for the organization.
    pub scope_id: &'a str,
    /// The calendar window, in the organization's time zone.
    pub window: Window,
}

/// What becomes of a cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CapChange {
    /// It stays as it is.
    #[default]
    Keep,
    /// There is none any more.
    Lift,
    /// This is the cap, in tokens or in nano-dollars; not below zero.
    To(i64),
}

/// What a budget allows in a window, and how much of it is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// Whose it is.
    pub scope: Scope,
    /// Which one, as it is stored; [`Scope::EACH`] is each on its own.
    pub scope_id: String,
    /// `day` or `month`.
    pub window: Window,
    /// Tokens, if they are capped.
    pub tokens_max: Option<i64>,
    /// Nano-dollars, if they are capped.
    pub credits_max: Option<Credits>,
    /// The window that is going on, once a call has met the budget in it.
    pub now: Option<WindowUsage>,
}

/// How far a budget is used in the window that is going on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WindowUsage {
    /// Whose window: for a budget of each, whoever it is.
    pub scope_id: String,
    /// Its first day.
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

/// A budget came to a threshold, or refused a call that no waiting could have helped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BudgetEvent {
    /// Whose budget.
    pub scope: Scope,
    /// Which one.
    pub scope_id: String,
    /// `day` or `month`.
    pub window: Window,
    /// The window's first day.
    pub start: String,
    /// In what.
    pub unit: Unit,
    /// 50, 80 or 100.
    pub percent: i32,
    /// A call was refused.
    pub refused: bool,
    /// What was used then.
    pub used: i64,
    /// The cap then.
    pub cap: i64,
    /// When, in UTC, as RFC 3339 has it.
    pub at: String,
}

/// A budget was not set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BudgetError {
    /// Nothing would be capped: that is a budget to remove.
    #[error("a budget needs a cap in tokens or in credits")]
    Nothing,
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sets budgets.
pub trait BudgetAdmin: Send + Sync {
    /// Changes the caps of a budget, or makes one, and returns what they are now: tokens and nano-dollars. The next
    /// call goes by it; one that is set in the middle of its window counts what was used before.
    ///
    /// # Errors
    /// No cap would be left.
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

    /// The budgets of an organization, its policy's among them, each with the windows that are going on: at most a
    /// thousand, those that are used most first.
    fn budgets(&self, id: OrganizationId) -> StoreFuture<'_, Vec<Budget>>;

    /// The latest events of an organization's budgets, the latest first.
    fn budget_events(
        &self,
        id: OrganizationId,
        count_max: NonZeroU32,
    ) -> StoreFuture<'_, Vec<BudgetEvent>>;
}
