//! `tollgate credits`: grants credits.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{
    Failure,
    operator::{Operator, begin},
};
use crate::{
    admin::credits,
    domain::{
        credits::{Credits, ParseCreditsError},
        ids::OrganizationId,
    },
    store::Balance,
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
        /// A repeated grant with the same reference grants nothing more. Without it, every grant counts
        #[arg(long, value_name = "TEXT")]
        reference: Option<String>,
        #[command(flatten)]
        operator: Operator,
    },
}

pub(super) async fn run(command: CreditsCommand) -> Result<ExitCode, Failure> {
    let CreditsCommand::Grant { org, amount, reference, operator } = command;
    let (store, output) = begin(&operator).await?;
    let granted = credits::grant(&store, org, amount, reference.as_deref()).await?;
    let balance = text_of_balance(&granted.balance);
    let text = if granted.replayed {
        format!("Nothing was added: this reference was granted before. {balance}")
    } else {
        format!("{amount} dollars were added. {balance}")
    };
    output.result(text, &credits::granted_document(org, &granted))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn text_of_balance(balance: &Balance) -> String {
    let Balance { posted, held, debt, .. } = balance;
    format!("Credits: {posted} dollars, {held} of them held, {debt} owed.")
}

fn more_than_nothing(text: &str) -> Result<Credits, String> {
    let amount = text.parse().map_err(|error: ParseCreditsError| error.to_string())?;
    credits::amount(amount).map_err(|input| input.to_string())
}
