//! Budgets: their caps, their usage, and the times at which thresholds were passed.

use std::num::NonZeroU32;

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
        query::{Parameter, Query},
        rows::{column, unexpected},
    },
    store::{
        StoreError, StoreFuture,
        admin::{Budget, BudgetAdmin, BudgetError, BudgetEvent, Budgeted, CapChange, WindowUsage},
    },
};

const SET: Query = Query::new(
    include_str!("../sql/statements/budgets/set_budget.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT, Type::TEXT, Type::INT8, Type::INT8],
);
const REMOVE: Query = Query::new(
    include_str!("../sql/statements/budgets/remove_budget.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT, Type::TEXT],
);
const SHOW: Query =
    Query::new(include_str!("../sql/statements/budgets/show_budgets.sql"), &[Type::UUID]);
const EVENTS: Query = Query::new(
    include_str!("../sql/statements/budgets/budget_events.sql"),
    &[Type::UUID, Type::INT8],
);

impl BudgetAdmin for Operator {
    fn set_budget<'a>(
        &'a self,
        id: OrganizationId,
        budgeted: Budgeted<'a>,
        tokens: CapChange,
        credits: CapChange,
    ) -> StoreFuture<'a, (Option<i64>, Option<Credits>), BudgetError> {
        Box::pin(async move {
            let Budgeted { scope, scope_id, window } = budgeted;
            let (tokens, credits) = (tokens.parameter(), credits.parameter());
            let parameters: [Parameter<'_>; 6] =
                [&id.as_uuid(), &scope.as_str(), &scope_id, &window.as_str(), &tokens, &credits];
            let rows = self.run(id, &SET, &parameters).await.map_err(|error| {
                // The table's check constraint demands at least one cap.
                if PostgresError::is(&error, "23514") { BudgetError::Nothing } else { error.into() }
            })?;
            let row = one(&rows)?;
            Ok((column(row, 0)?, column::<Option<i64>>(row, 1)?.map(Credits::from_nanos)))
        })
    }

    fn remove_budget<'a>(
        &'a self,
        id: OrganizationId,
        budgeted: Budgeted<'a>,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let Budgeted { scope, scope_id, window } = budgeted;
            let parameters: [Parameter<'_>; 4] =
                [&id.as_uuid(), &scope.as_str(), &scope_id, &window.as_str()];
            let rows = self.run(id, &REMOVE, &parameters).await?;
            column(one(&rows)?, 0)
        })
    }

    fn budgets(&self, id: OrganizationId) -> StoreFuture<'_, Vec<Budget>> {
        Box::pin(async move {
            let rows = self.run(id, &SHOW, &[&id.as_uuid()]).await?;
            one(&rows)?;
            rows.iter().filter_map(|row| budget(row).transpose()).collect()
        })
    }

    fn budget_events(
        &self,
        id: OrganizationId,
        count_max: NonZeroU32,
    ) -> StoreFuture<'_, Vec<BudgetEvent>> {
        Box::pin(async move {
            let rows = self.run(id, &EVENTS, &[&id.as_uuid(), &i64::from(count_max.get())]).await?;
            one(&rows)?;
            rows.iter().filter_map(|row| event(row).transpose()).collect()
        })
    }
}

impl CapChange {
    /// The change as a parameter of the statement.
    fn parameter(self) -> Option<i64> {
        match self {
            Self::Keep => None,
            Self::Lift => Some(-1),
            Self::To(cap) => Some(cap.max(0)),
        }
    }
}

/// The budget of a row. `None` if the organization has no budget.
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

/// The event of a row. `None` if there is no event yet.
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
