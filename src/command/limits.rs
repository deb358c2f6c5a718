//! `tollgate limits`: rates of an organization's teams, people, keys and models.

use std::{num::NonZeroU32, process::ExitCode};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Failure,
    operator::{Operator as Named, begin, refused},
    output::Output,
    scoped::{Scoped, whose},
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
        operator: Named,
    },
    /// Shows an organization's limits
    Show {
        /// Of which organization
        #[arg(long, value_name = "ID")]
        org: OrganizationId,
        #[command(flatten)]
        operator: Named,
    },
    /// Removes a limit
    Remove {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        operator: Named,
    },
}

/// Which limit it is.
#[derive(Debug, Args)]
pub(super) struct Of {
    #[command(flatten)]
    scoped: Scoped,
    /// The models that count: a name, or a beginning such as `gpt-4o*`; by default all
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
    /// How many calls at once, until the ends of their answers, or `none`
    #[arg(long, value_name = "N", value_parser = change)]
    calls_in_flight: Option<RateChange>,
}

pub(super) async fn run(command: LimitsCommand) -> Result<ExitCode, Failure> {
    match command {
        LimitsCommand::Set { of, changes, operator } => set(&of, &changes, &operator).await?,
        LimitsCommand::Show { org, operator } => show(org, &operator).await?,
        LimitsCommand::Remove { of, operator } => remove(&of, &operator).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn set(of: &Of, changes: &Changes, operator: &Named) -> Result<(), Failure> {
    let scope_id = of.scoped.scope_id()?;
    let (store, output) = begin(operator).await?;
    let set = store.set_rate_limit(of.scoped.org, of.limited(&scope_id), changes.into()).await;
    let rates = set.map_err(|error| match error {
        RateLimitError::UnknownModel(pattern) => Failure::new(format!(
            "no model with a price is named `{pattern}`: this limit would count nothing"
        )),
        RateLimitError::Nothing => {
            Failure::new("nothing would be limited: use `tollgate limits remove`")
        }
        RateLimitError::Store(error) => refused(of.scoped.org, error),
    })?;
    let limit = of.limit(scope_id, rates);
    output.result(text_of(&limit), &document(of.scoped.org, &limit))
}

async fn show(org: OrganizationId, operator: &Named) -> Result<(), Failure> {
    let (store, output) = begin(operator).await?;
    let limits = store.rate_limits(org).await.map_err(|error| refused(org, error))?;
    let shown = store.organization(org).await.map_err(|error| refused(org, error))?;
    output_of(output, org, &shown.policy.rates, &limits)
}

async fn remove(of: &Of, operator: &Named) -> Result<(), Failure> {
    let scope_id = of.scoped.scope_id()?;
    let (store, output) = begin(operator).await?;
    let removed = store.remove_rate_limit(of.scoped.org, of.limited(&scope_id)).await;
    if !removed.map_err(|error| refused(of.scoped.org, error))? {
        return Err(Failure::new("there is no such limit; `tollgate limits show` lists them"));
    }
    let limit = of.limit(scope_id, Rates::default());
    output.result(format_args!("{} Removed.", counted(&limit)), &document(of.scoped.org, &limit))
}

impl Of {
    fn limited<'a>(&'a self, scope_id: &'a str) -> Limited<'a> {
        Limited { scope: self.scoped.scope, scope_id, model_pattern: &self.model }
    }

    fn limit(&self, scope_id: String, rates: Rates) -> RateLimit {
        RateLimit { scope: self.scoped.scope, scope_id, model_pattern: self.model.clone(), rates }
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
    match text {
        "none" => Ok(RateChange::Lift),
        _ => match text.parse::<NonZeroU32>() {
            Ok(limit) => Ok(RateChange::To(limit)),
            Err(_) => Err(format!("expected a number from 1 to {}, or `none`", u32::MAX)),
        },
    }
}

fn output_of(
    output: Output,
    org: OrganizationId,
    policy: &Rates,
    limits: &[RateLimit],
) -> Result<(), Failure> {
    let mut text = format!("By the policy, all together: {}", text_of_rates(policy));
    for limit in limits {
        text.extend(["\n", &text_of(limit)]);
    }
    let document = json!({"organization_id": org, "policy": policy, "limits": limits});
    output.result(text, &document)
}

/// With the rates at the top, as `limits show` lists them.
fn document(org: OrganizationId, limit: &RateLimit) -> Value {
    let mut document = json!(limit);
    if let Value::Object(fields) = &mut document {
        fields.insert("organization_id".into(), json!(org));
    }
    document
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
