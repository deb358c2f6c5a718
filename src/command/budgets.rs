//! `tollgate budgets`: what an organization, its teams, people and keys may use in a day or a month.

use std::{num::NonZeroU32, process::ExitCode};

use clap::{Args, Subcommand, ValueEnum};

use super::{
    Failure,
    operator::{Operator, begin},
    scoped::{Scoped, whose},
};
use crate::{
    admin::{
        budgets::{self, BudgetOf},
        problem::{Input, ScopeFault},
    },
    domain::{
        credits::Credits,
        hold::{Unit, Window},
        ids::OrganizationId,
    },
    store::admin::{Budget, BudgetEvent, CapChange},
};

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
        operator: Operator,
    },
    /// Shows an organization's budgets, and how far they are used
    Show {
        /// Which organization
        #[arg(long, value_name = "ID")]
        org: OrganizationId,
        #[command(flatten)]
        operator: Operator,
    },
    /// Removes a budget
    Remove {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        operator: Operator,
    },
    /// Shows when budgets reached 50, 80 and 100 percent, or refused a call; the latest first
    Events {
        /// Which organization
        #[arg(long, value_name = "ID")]
        org: OrganizationId,
        /// How many events at most
        #[arg(long, value_name = "N", default_value_t = budgets::EVENTS_DEFAULT)]
        last: NonZeroU32,
        #[command(flatten)]
        operator: Operator,
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

async fn set(of: &Of, caps: &Caps, operator: &Operator) -> Result<(), Failure> {
    let of = of.read()?;
    let (store, output) = begin(operator).await?;
    let (tokens, credits) = (caps.tokens.unwrap_or_default(), caps.credits.unwrap_or_default());
    let budget = budgets::set(&store, of, tokens, credits).await?;
    output.result(text_of(&budget), &budget)
}

async fn show(org: OrganizationId, operator: &Operator) -> Result<(), Failure> {
    let (store, output) = begin(operator).await?;
    let shown = budgets::show(&store, org).await?;
    let text = if shown.is_empty() {
        "There are no budgets.".to_owned()
    } else {
        shown.iter().map(text_of).collect::<Vec<_>>().join("\n")
    };
    output.result(text, &budgets::document(org, &shown))
}

async fn remove(of: &Of, operator: &Operator) -> Result<(), Failure> {
    let of = of.read()?;
    let (store, output) = begin(operator).await?;
    let removed = budgets::remove(&store, of).await?;
    let BudgetOf { scoped, window } = &removed.0;
    let whose = whose(scoped.scope, &scoped.scope_id);
    let text = format!("{whose}, a {}: removed.", window.as_str());
    output.result(text, &removed.document())
}

async fn events(org: OrganizationId, last: NonZeroU32, operator: &Operator) -> Result<(), Failure> {
    let (store, output) = begin(operator).await?;
    let events = budgets::events(&store, org, last).await?;
    let text = if events.is_empty() {
        "No budget has reached 50 percent yet, and none has refused a call.".to_owned()
    } else {
        events.iter().map(text_of_event).collect::<Vec<_>>().join("\n")
    };
    output.result(text, &budgets::events_document(org, &events))
}

impl Of {
    fn read(&self) -> Result<BudgetOf, ScopeFault> {
        Ok(BudgetOf { scoped: self.scoped.read()?, window: self.window.into() })
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
    let cap = match text {
        "none" => Ok(CapChange::Lift),
        _ => text.parse().map_err(|_| Input::TokensCap).and_then(budgets::tokens_cap),
    };
    cap.map_err(|input| format!("{input}, or `none`"))
}

fn credits(text: &str) -> Result<CapChange, String> {
    match text {
        "none" => Ok(CapChange::Lift),
        _ => match text.parse::<Credits>() {
            Ok(cap) => budgets::credits_cap(cap).map_err(|input| input.to_string()),
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
