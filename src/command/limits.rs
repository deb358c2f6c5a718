//! `tollgate limits`: rates of an organization's teams, people, keys and models.

use std::{num::NonZeroU32, process::ExitCode};

use clap::{Args, Subcommand};

use super::{
    Failure,
    operator::{Operator, begin},
    scoped::{Scoped, whose},
};
use crate::{
    admin::{
        limits::{self, AllLimits, LimitOf},
        problem::{Input, Problem},
    },
    domain::{
        ids::OrganizationId,
        policy::{RateLimit, Rates},
    },
    store::admin::{RateChange, RateChanges},
};

#[derive(Debug, Args)]
pub(super) struct LimitsArgs {
    #[command(subcommand)]
    pub(super) command: LimitsCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum LimitsCommand {
    /// Sets a limit; a rate that is not named stays as it is
    Set {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        changes: Changes,
        #[command(flatten)]
        operator: Operator,
    },
    /// Shows an organization's limits
    Show {
        /// Which organization
        #[arg(long, value_name = "ID")]
        org: OrganizationId,
        #[command(flatten)]
        operator: Operator,
    },
    /// Removes a limit
    Remove {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        operator: Operator,
    },
}

/// Which limit it is.
#[derive(Debug, Args)]
pub(super) struct Of {
    #[command(flatten)]
    scoped: Scoped,
    /// The models that count: a name, or a prefix such as `gpt-4o*`; by default all
    #[arg(long, value_name = "PATTERN", default_value = RateLimit::EVERY_MODEL, hide_default_value = true,
          value_parser = clap::builder::NonEmptyStringValueParser::new())]
    model: String,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct Changes {
    /// How many requests a minute, or `none` for no limit
    #[arg(long, value_name = "N", value_parser = change)]
    requests_per_minute: Option<RateChange>,
    /// How many tokens a minute, input and output together, or `none`
    #[arg(long, value_name = "N", value_parser = change)]
    tokens_per_minute: Option<RateChange>,
    /// How many calls in flight at once, or `none`; a call ends when its answer ends
    #[arg(long, value_name = "N", value_parser = change)]
    calls_in_flight: Option<RateChange>,
}

pub(super) async fn run(command: LimitsCommand) -> Result<ExitCode, Failure> {
    match command {
        LimitsCommand::Set { of, changes, operator } => set(of, &changes, &operator).await?,
        LimitsCommand::Show { org, operator } => show(org, &operator).await?,
        LimitsCommand::Remove { of, operator } => remove(of, &operator).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn set(of: Of, changes: &Changes, operator: &Operator) -> Result<(), Failure> {
    let of = of.read()?;
    let (store, output) = begin(operator).await?;
    let set = limits::set(&store, of, changes.into()).await?;
    output.result(text_of(&set.limit), &set.document())
}

async fn show(org: OrganizationId, operator: &Operator) -> Result<(), Failure> {
    let (store, output) = begin(operator).await?;
    let shown = limits::show(&store, org).await?;
    output.result(text_of_all(&shown), &shown.document())
}

async fn remove(of: Of, operator: &Operator) -> Result<(), Failure> {
    let of = of.read()?;
    let (store, output) = begin(operator).await?;
    let removed = limits::remove(&store, of).await?;
    output.result(format_args!("{} Removed.", counted(&removed.limit)), &removed.document())
}

impl Of {
    fn read(self) -> Result<LimitOf, Problem> {
        Ok(LimitOf::new(self.scoped.read()?, self.model)?)
    }
}

impl From<&Changes> for RateChanges {
    fn from(changes: &Changes) -> Self {
        Self {
            requests_per_minute: changes.requests_per_minute.unwrap_or_default(),
            tokens_per_minute: changes.tokens_per_minute.unwrap_or_default(),
            calls_in_flight: changes.calls_in_flight.unwrap_or_default(),
        }
    }
}

fn change(text: &str) -> Result<RateChange, String> {
    let rate = match text {
        "none" => Ok(RateChange::Lift),
        _ => text.parse().map_err(|_| Input::Rate).and_then(limits::rate),
    };
    rate.map_err(|input| format!("{input}, or `none`"))
}

fn text_of_all(shown: &AllLimits) -> String {
    let mut text = format!("By the policy, all together: {}", text_of_rates(&shown.policy));
    for limit in &shown.limits {
        text.extend(["\n", &text_of(limit)]);
    }
    text
}

fn text_of(limit: &RateLimit) -> String {
    format!("{} {}", counted(limit), text_of_rates(&limit.rates))
}

fn counted(limit: &RateLimit) -> String {
    let RateLimit { scope, scope_id, model_pattern, .. } = limit;
    let whose = whose(*scope, scope_id);
    match model_pattern.as_str() {
        RateLimit::EVERY_MODEL => format!("{whose}:"),
        pattern => format!("{whose}, {pattern}:"),
    }
}

fn text_of_rates(rates: &Rates) -> String {
    let rate = |rate: Option<NonZeroU32>, unit: &str| rate.map(|rate| format!("{rate} {unit}"));
    let rates = [
        rate(rates.requests_per_minute, "requests a minute"),
        rate(rates.tokens_per_minute, "tokens a minute"),
        rate(rates.calls_in_flight, "calls in flight"),
    ];
    let rates: Vec<String> = rates.into_iter().flatten().collect();
    if rates.is_empty() { "no limit.".to_owned() } else { format!("{}.", rates.join(", ")) }
}
