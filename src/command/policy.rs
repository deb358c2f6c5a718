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
        /// Which organization
        #[arg(long, value_name = "ID")]
        org: OrganizationId,
        #[command(flatten)]
        operator: Operator,
    },
    /// Changes an organization's policy
    Set {
        /// Which organization
        #[arg(long, value_name = "ID")]
        org: OrganizationId,
        /// The change, as JSON or `@FILE`: `null` restores a default, and members that are not named stay as they are
        #[arg(value_name = "JSON")]
        policy: String,
        /// Resets members that are not named to their defaults
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

/// The argument itself, or the contents of the file that it names.
fn text_of(given: &str) -> Result<Cow<'_, str>, Failure> {
    let Some(file) = given.strip_prefix('@') else { return Ok(given.into()) };
    let text = fs::read_to_string(file);
    text.map(Cow::Owned).map_err(|error| Failure::new(format!("cannot read {file}: {error}")))
}
