//! `tollgate policy`: what an organization may do.

use std::{borrow::Cow, fs, process::ExitCode};

use clap::{Args, Subcommand};

use super::{
    Failure,
    operator::{Operator, begin},
};
use crate::{
    admin::policies::{self, Change},
    domain::ids::OrganizationId,
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
            (policies::show(&store, org).await?, output)
        }
        PolicyCommand::Set { org, policy, replace, operator } => {
            let change = Change::read(text_of(&policy)?.as_bytes())?;
            let (store, output) = begin(&operator).await?;
            let policy = if replace {
                policies::replace(&store, org, change).await?
            } else {
                policies::change(&store, org, change).await?
            };
            (policy, output)
        }
    };
    output.result(serde_json::to_string_pretty(&policy)?, &policy)?;
    Ok(ExitCode::SUCCESS)
}

/// What was given, or what is in the file that was named.
fn text_of(given: &str) -> Result<Cow<'_, str>, Failure> {
    let Some(file) = given.strip_prefix('@') else { return Ok(given.into()) };
    let text = fs::read_to_string(file);
    text.map(Cow::Owned).map_err(|error| Failure::new(format!("cannot read {file}: {error}")))
}
