//! `tollgate policy`: what an organization may do.

use std::{fs, process::ExitCode};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{
    Failure,
    operator::{Operator, begin, refused},
};
use crate::{
    domain::{ids::OrganizationId, policy::Policy},
    store::admin::{OrganizationAdmin, PolicyAdmin, PolicyError},
};

#[derive(Debug, Args)]
pub(super) struct PolicyArgs {
    #[command(subcommand)]
    pub(super) command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Shows an organization's policy
    Show {
        /// Of which organization
        #[arg(long, value_name = "ID")]
        org: OrganizationId,
        #[command(flatten)]
        operator: Operator,
    },
    /// Changes an organization's policy
    Set {
        /// Of which organization
        #[arg(long, value_name = "ID")]
        org: OrganizationId,
        /// What changes, as JSON or `@FILE`; `null` brings a default back, the rest stays
        #[arg(value_name = "JSON")]
        policy: String,
        /// What is not named goes back to its default
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        operator: Operator,
    },
}

pub(super) async fn run(command: PolicyCommand) -> Result<ExitCode, Failure> {
    let (policy, output) = match command {
        PolicyCommand::Show { org, operator } => {
            let (store, output) = begin(&operator).await?;
            let shown = store.organization(org).await.map_err(|error| refused(org, error))?;
            (shown.policy, output)
        }
        PolicyCommand::Set { org, policy, replace, operator } => {
            let change = read_policy(&policy)?;
            let (store, output) = begin(&operator).await?;
            let set = if replace {
                let policy: Policy =
                    serde_json::from_value(change).map_err(|error| not_a_policy(&error))?;
                store.set_policy(org, &policy).await.map(|()| policy)
            } else {
                store.patch_policy(org, &change).await
            };
            let policy = set.map_err(|error| {
                if let PolicyError::Store(error) = error {
                    refused(org, error)
                } else {
                    error.into()
                }
            })?;
            (policy, output)
        }
    };
    output.result(serde_json::to_string_pretty(&policy)?, &policy)?;
    Ok(ExitCode::SUCCESS)
}

fn read_policy(given: &str) -> Result<Value, Failure> {
    let text = match given.strip_prefix('@') {
        Some(file) => fs::read_to_string(file)
            .map_err(|error| Failure::new(format!("cannot read {file}: {error}")))?,
        None => given.to_owned(),
    };
    match serde_json::from_str(&text) {
        Ok(Value::Object(change)) => Ok(Value::Object(change)),
        Ok(_) => Err(Failure::new(
            "not a policy: expected a JSON object such as {\"rates\": {\"requests_per_minute\": 60}}",
        )),
        Err(error) => Err(not_a_policy(&error)),
    }
}

fn not_a_policy(error: &serde_json::Error) -> Failure {
    Failure::new(format!("not a policy: {error}"))
}
