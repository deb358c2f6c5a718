//! `tollgate credits`: granting them.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Failure,
    operator::{Operator, begin, refused},
};
use crate::{
    domain::{
        credits::{Credits, ParseCreditsError},
        ids::OrganizationId,
    },
    store::{
        Balance,
        admin::{CreditAdmin, GrantError},
    },
};

#[derive(Debug, Args)]
pub(super) struct CreditsArgs {
    #[command(subcommand)]
    pub(super) command: CreditsCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum CreditsCommand {
    /// Adds credits; an unpaid debt is collected first
    Grant {
        /// To which organization
        #[arg(long, value_name = "ID")]
        org: OrganizationId,
        /// In dollars: 12 or 0.25
        #[arg(long, value_name = "DOLLARS", value_parser = more_than_nothing)]
        amount: Credits,
        /// Repeating a grant with the same reference grants nothing more; else each is its own
        #[arg(long, value_name = "TEXT")]
        reference: Option<String>,
        #[command(flatten)]
        operator: Operator,
    },
}

pub(super) async fn run(command: CreditsCommand) -> Result<ExitCode, Failure> {
    let CreditsCommand::Grant { org, amount, reference, operator } = command;
    let (store, output) = begin(&operator).await?;
    let granted = store.grant_credits(org, amount, reference.as_deref()).await;
    let granted = granted.map_err(|error| match error {
        GrantError::Store(error) => refused(org, error),
        error => error.into(),
    })?;
    let balance = text_of_balance(&granted.balance);
    let text = if granted.replayed {
        format!("Nothing was added: this reference was granted before. {balance}")
    } else {
        format!("{amount} dollars were added. {balance}")
    };
    let document = json!({
        "organization_id": org,
        "credits": json_of_balance(&granted.balance),
        "replayed": granted.replayed,
    });
    output.result(text, &document)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn text_of_balance(balance: &Balance) -> String {
    let Balance { posted, held, debt, .. } = balance;
    format!("Credits: {posted} dollars, {held} of them held, {debt} owed.")
}

/// In nano-dollars, as everywhere but in texts for people.
pub(super) fn json_of_balance(balance: &Balance) -> Value {
    json!({"posted": balance.posted, "held": balance.held, "debt": balance.debt})
}

fn more_than_nothing(text: &str) -> Result<Credits, String> {
    let amount: Credits = text.parse().map_err(|error: ParseCreditsError| error.to_string())?;
    if amount > Credits::ZERO { Ok(amount) } else { Err("a grant is more than nothing".into()) }
}
