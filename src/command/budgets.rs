//! `tollgate budgets`: what an organization, its teams, people and keys may use in a day or a month.

use std::{num::NonZeroU32, process::ExitCode};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::{
    Failure,
    operator::{Operator as Named, begin, refused},
    scoped::{Scoped, whose},
};
use crate::{
    domain::{
        credits::Credits,
        hold::{Unit, Window},
        ids::OrganizationId,
    },
    store::admin::{Budget, BudgetAdmin, BudgetError, BudgetEvent, Budgeted, CapChange},
};

/// How many events are shown unless another number is asked for.
const EVENTS_DEFAULT: NonZeroU32 = NonZeroU32::new(100).unwrap();

#[derive(Debug, Args)]
pub(super) struct BudgetsArgs {
    #[command(subcommand)]
    pub(super) command: BudgetsCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum BudgetsCommand {
    /// Sets a budget; a cap that is not named stays as it is
    Set {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        caps: Caps,
        #[command(flatten)]
        operator: Named,
    },
    /// Shows an organization's budgets, and how far they are used
    Show {
        /// Of which organization
        #[arg(long, value_name = "ID")]
        org: OrganizationId,
        #[command(flatten)]
        operator: Named,
    },
    /// Removes a budget
    Remove {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        operator: Named,
    },
    /// Shows when budgets came to 50, 80 and 100 percent, or refused a call; the latest first
    Events {
        /// Of which organization
        #[arg(long, value_name = "ID")]
        org: OrganizationId,
        /// How many at the most
        #[arg(long, value_name = "N", default_value_t = EVENTS_DEFAULT)]
        last: NonZeroU32,
        #[command(flatten)]
        operator: Named,
    },
}

/// Which budget it is.
#[derive(Debug, Args)]
pub(super) struct Of {
    #[command(flatten)]
    scoped: Scoped,
    /// Of each day or of each month, by the organization's time zone
    #[arg(long)]
    window: Calendar,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Calendar {
    Day,
    Month,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct Caps {
    /// How many tokens, input and output together, or `none` for no cap
    #[arg(long, value_name = "N", value_parser = tokens)]
    tokens: Option<CapChange>,
    /// How many dollars: 12 or 0.25, or `none`
    #[arg(long, value_name = "DOLLARS", value_parser = credits)]
    credits: Option<CapChange>,
}

pub(super) async fn run(command: BudgetsCommand) -> Result<ExitCode, Failure> {
    match command {
        BudgetsCommand::Set { of, caps, operator } => set(&of, &caps, &operator).await?,
        BudgetsCommand::Show { org, operator } => show(org, &operator).await?,
        BudgetsCommand::Remove { of, operator } => remove(&of, &operator).await?,
        BudgetsCommand::Events { org, last, operator } => events(org, last, &operator).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn set(of: &Of, caps: &Caps, operator: &Named) -> Result<(), Failure> {
    let scope_id = of.scoped.scope_id()?;
    let (store, output) = begin(operator).await?;
    let (tokens, credits) = (caps.tokens.unwrap_or_default(), caps.credits.unwrap_or_default());
    let set = store.set_budget(of.scoped.org, of.budgeted(&scope_id), tokens, credits).await;
    let (tokens_max, credits_max) = set.map_err(|error| match error {
        BudgetError::Nothing => {
            Failure::new("nothing would be capped: use `tollgate budgets remove`")
        }
        BudgetError::Store(error) => refused(of.scoped.org, error),
    })?;
    let (scope, window) = (of.scoped.scope, of.window.into());
    let budget = Budget { scope, scope_id, window, tokens_max, credits_max, now: None };
    output.result(text_of(&budget), &budget)
}

async fn show(org: OrganizationId, operator: &Named) -> Result<(), Failure> {
    let (store, output) = begin(operator).await?;
    let budgets = store.budgets(org).await.map_err(|error| refused(org, error))?;
    let text = if budgets.is_empty() {
        "There are no budgets.".to_owned()
    } else {
        budgets.iter().map(text_of).collect::<Vec<_>>().join("\n")
    };
    output.result(text, &json!({"organization_id": org, "budgets": budgets}))
}

async fn remove(of: &Of, operator: &Named) -> Result<(), Failure> {
    let scope_id = of.scoped.scope_id()?;
    let (store, output) = begin(operator).await?;
    let removed = store.remove_budget(of.scoped.org, of.budgeted(&scope_id)).await;
    if !removed.map_err(|error| refused(of.scoped.org, error))? {
        return Err(Failure::new("there is no such budget; `tollgate budgets show` lists them"));
    }
    let (scope, window) = (of.scoped.scope, Window::from(of.window));
    output.result(
        format_args!("{}, a {}: removed.", whose(scope, &scope_id), window.as_str()),
        &json!({"organization_id": of.scoped.org, "scope": scope, "scope_id": scope_id, "window": window}),
    )
}

async fn events(org: OrganizationId, last: NonZeroU32, operator: &Named) -> Result<(), Failure> {
    let (store, output) = begin(operator).await?;
    let events = store.budget_events(org, last).await.map_err(|error| refused(org, error))?;
    let text = if events.is_empty() {
        "No budget has come to half yet, and none has refused a call.".to_owned()
    } else {
        events.iter().map(text_of_event).collect::<Vec<_>>().join("\n")
    };
    output.result(text, &json!({"organization_id": org, "events": events}))
}

impl Of {
    fn budgeted<'a>(&self, scope_id: &'a str) -> Budgeted<'a> {
        Budgeted { scope: self.scoped.scope, scope_id, window: self.window.into() }
    }
}

impl From<Calendar> for Window {
    fn from(window: Calendar) -> Self {
        match window {
            Calendar::Day => Self::Day,
            Calendar::Month => Self::Month,
        }
    }
}

fn tokens(text: &str) -> Result<CapChange, String> {
    match text {
        "none" => Ok(CapChange::Lift),
        _ => match text.parse::<i64>() {
            Ok(cap) if cap >= 0 => Ok(CapChange::To(cap)),
            _ => Err(format!("expected a whole number from 0 to {}, or `none`", i64::MAX)),
        },
    }
}

fn credits(text: &str) -> Result<CapChange, String> {
    match text {
        "none" => Ok(CapChange::Lift),
        _ => match text.parse::<Credits>() {
            Ok(cap) if cap >= Credits::ZERO => Ok(CapChange::To(cap.nanos())),
            Ok(_) => Err("a cap is not below zero".to_owned()),
            Err(error) => Err(format!("{error}, or `none`")),
        },
    }
}

fn text_of(budget: &Budget) -> String {
    let tokens = budget.tokens_max.map(|cap| format!("{cap} tokens"));
    let credits = budget.credits_max.map(|cap| format!("{cap} dollars"));
    let caps: Vec<_> = [tokens, credits].into_iter().flatten().collect();
    let mut text = format!(
        "{}, a {}: {}.",
        whose(budget.scope, &budget.scope_id),
        budget.window.as_str(),
        caps.join(" and ")
    );
    if let Some(now) = &budget.now {
        let each = (now.scope_id != budget.scope_id).then(|| format!("{}: ", now.scope_id));
        let used = format!(
            " {}From {} on, {} tokens and {} dollars used, {} and {} held.",
            each.unwrap_or_default(),
            now.start,
            now.tokens_used,
            now.credits_used,
            now.tokens_held,
            now.credits_held
        );
        text.push_str(&used);
    }
    text
}

fn text_of_event(event: &BudgetEvent) -> String {
    let amount = |figure: i64| match event.unit {
        Unit::Tokens => format!("{figure} tokens"),
        Unit::Credits => format!("{} dollars", Credits::from_nanos(figure)),
    };
    let what = if event.refused {
        "refused a call".to_owned()
    } else {
        format!("came to {} percent", event.percent)
    };
    format!(
        "{} {}, the {} from {}: {what} with {} of {} used.",
        event.at,
        whose(event.scope, &event.scope_id),
        event.window.as_str(),
        event.start,
        amount(event.used),
        amount(event.cap)
    )
}
