//! Budgets: what is set, how far it is used, and when thresholds were passed.

use std::num::NonZeroU32;

use serde::Serialize;
use tokio_postgres::{Row, types::Type};

use super::{Operator, one};
use crate::{
    domain::{
        credits::Credits,
        hold::{Unit, Window},
        ids::OrganizationId,
        scope::Scope,
    },
    postgres::{
        error::PostgresError,
        rows::{column, unexpected},
        statement::{Parameter, Statement},
    },
    store::StoreError,
};

const SET: Statement = Statement::new(
    include_str!("../sql/statements/budgets/set_budget.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT, Type::TEXT, Type::INT8, Type::INT8],
);
const REMOVE: Statement = Statement::new(
    include_str!("../sql/statements/budgets/remove_budget.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT, Type::TEXT],
);
const SHOW: Statement =
    Statement::new(include_str!("../sql/statements/budgets/show_budgets.sql"), &[Type::UUID]);
const EVENTS: Statement = Statement::new(
    include_str!("../sql/statements/budgets/budget_events.sql"),
    &[Type::UUID, Type::INT8],
);

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

impl Operator {
    /// Changes the caps of a budget, or makes one, and returns what they are now: tokens and nano-dollars. The next
    /// call goes by it; one that is set in the middle of its window counts what was used before.
    ///
    /// # Errors
    /// No cap would be left, or as [`organization`](Self::organization).
    pub async fn set_budget(
        &self,
        id: OrganizationId,
        budgeted: Budgeted<'_>,
        tokens: CapChange,
        credits: CapChange,
    ) -> Result<(Option<i64>, Option<Credits>), BudgetError> {
        let Budgeted { scope, scope_id, window } = budgeted;
        let (tokens, credits) = (tokens.parameter(), credits.parameter());
        let parameters: [Parameter<'_>; 6] =
            [&id.as_uuid(), &scope.as_str(), &scope_id, &window.as_str(), &tokens, &credits];
        let rows = self.run(id, &SET, &parameters).await.map_err(|error| {
            // The table's own check: at least one cap.
            match PostgresError::of(&error).and_then(PostgresError::code) {
                Some(code) if code.code() == "23514" => BudgetError::Nothing,
                _ => error.into(),
            }
        })?;
        let row = one(&rows)?;
        Ok((column(row, 0)?, column::<Option<i64>>(row, 1)?.map(Credits::from_nanos)))
    }

    /// Removes a budget. `false` if there was none.
    ///
    /// # Errors
    /// As [`organization`](Self::organization).
    pub async fn remove_budget(
        &self,
        id: OrganizationId,
        budgeted: Budgeted<'_>,
    ) -> Result<bool, StoreError> {
        let Budgeted { scope, scope_id, window } = budgeted;
        let parameters: [Parameter<'_>; 4] =
            [&id.as_uuid(), &scope.as_str(), &scope_id, &window.as_str()];
        let rows = self.run(id, &REMOVE, &parameters).await?;
        column(one(&rows)?, 0)
    }

    /// The budgets of an organization, its policy's among them, each with the windows that are going on: at most a
    /// thousand, those that are used most first.
    ///
    /// # Errors
    /// As [`organization`](Self::organization).
    pub async fn budgets(&self, id: OrganizationId) -> Result<Vec<Budget>, StoreError> {
        let rows = self.run(id, &SHOW, &[&id.as_uuid()]).await?;
        one(&rows)?;
        rows.iter().filter_map(|row| budget(row).transpose()).collect()
    }

    /// The latest events of an organization's budgets, the latest first.
    ///
    /// # Errors
    /// As [`organization`](Self::organization).
    pub async fn budget_events(
        &self,
        id: OrganizationId,
        count_max: NonZeroU32,
    ) -> Result<Vec<BudgetEvent>, StoreError> {
        let rows = self.run(id, &EVENTS, &[&id.as_uuid(), &i64::from(count_max.get())]).await?;
        one(&rows)?;
        rows.iter().filter_map(|row| event(row).transpose()).collect()
    }
}

impl CapChange {
    /// As the statement reads it.
    fn parameter(self) -> Option<i64> {
        match self {
            Self::Keep => None,
            Self::Lift => Some(-1),
            Self::To(cap) => Some(cap.max(0)),
        }
    }
}

/// None, where the organization has none at all.
fn budget(row: &Row) -> Result<Option<Budget>, StoreError> {
    let Some(scope) = scope(row)? else { return Ok(None) };
    let figure = |index: usize| column::<i64>(row, index);
    let whose: Option<String> = column(row, 5)?;
    let now = match whose {
        None => None,
        Some(scope_id) => Some(WindowUsage {
            scope_id,
            start: column(row, 6)?,
            tokens_used: figure(7)?,
            tokens_held: figure(8)?,
            credits_used: Credits::from_nanos(figure(9)?),
            credits_held: Credits::from_nanos(figure(10)?),
        }),
    };
    Ok(Some(Budget {
        scope,
        scope_id: column(row, 1)?,
        window: window(row)?,
        tokens_max: column(row, 3)?,
        credits_max: column::<Option<i64>>(row, 4)?.map(Credits::from_nanos),
        now,
    }))
}

/// None, where there was none yet.
fn event(row: &Row) -> Result<Option<BudgetEvent>, StoreError> {
    let Some(scope) = scope(row)? else { return Ok(None) };
    Ok(Some(BudgetEvent {
        scope,
        scope_id: column(row, 1)?,
        window: window(row)?,
        start: column(row, 3)?,
        unit: match column(row, 4)? {
            "tokens" => Unit::Tokens,
            "credits" => Unit::Credits,
            other => return Err(unexpected(other)),
        },
        percent: column(row, 5)?,
        refused: column(row, 6)?,
        used: column(row, 7)?,
        cap: column(row, 8)?,
        at: column(row, 9)?,
    }))
}

fn scope(row: &Row) -> Result<Option<Scope>, StoreError> {
    let word = column::<Option<&str>>(row, 0)?.map(str::parse).transpose();
    word.map_err(|error| unexpected(&format!("{error}")))
}

fn window(row: &Row) -> Result<Window, StoreError> {
    match column(row, 2)? {
        "day" => Ok(Window::Day),
        "month" => Ok(Window::Month),
        other => Err(unexpected(other)),
    }
}
