//! The command line. The options of each command are in the command's own file.

use clap::{CommandFactory, Parser, Subcommand};

use super::{
    budgets::BudgetsArgs, credits::CreditsArgs, dev::DevArgs, limits::LimitsArgs,
    migrate::MigrateArgs, operator::Operator, org::OrgArgs, policy::PolicyArgs,
    prices::args::PricesArgs, prove::ProveArgs, serve::ServeArgs, statement::StatementArgs,
    token::TokenArgs,
};

/// Lets many organizations share one LLM gateway safely.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, about, disable_help_subcommand = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

impl Cli {
    /// The whole command line. Negative numbers are parsed as values, not flags, so that the error can say what is
    /// wrong with the value.
    pub(super) fn known() -> clap::Command {
        fn with_negatives(command: clap::Command) -> clap::Command {
            command.allow_negative_numbers(true).mut_subcommands(with_negatives)
        }
        with_negatives(Self::command())
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Runs everything on one machine without setup: database, issuer, mock provider, gateway
    Dev(DevArgs),
    /// Runs the gateway, for production
    Serve(ServeArgs),
    /// Gets a token from a running dev issuer
    Token(TokenArgs),
    /// Creates or updates the `tollgate` schema; needs the database's administrator
    Migrate(MigrateArgs),
    /// Shows that no organization can reach another; exit status 0 only if all holds
    Prove(ProveArgs),
    /// Checks every organization's books; exit status 0 only if all are right
    Reconcile(Operator),
    /// Organizations
    Org(OrgArgs),
    /// Credits
    Credits(CreditsArgs),
    /// Policies: what an organization may do
    Policy(PolicyArgs),
    /// Budgets: what an organization, its teams, people and keys may use in a day or a month
    Budgets(BudgetsArgs),
    /// Rates of an organization's teams, people, keys and models
    Limits(LimitsArgs),
    /// Prices: the list, agreements with organizations, and recomputed bills
    Prices(PricesArgs),
    /// A statement of account: every movement of an organization's credits in a window of time
    Statement(StatementArgs),
}
