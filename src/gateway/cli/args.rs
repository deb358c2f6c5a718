//! What can be typed.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use super::{
    budgets::BudgetsArgs, limits::LimitsArgs, prices::args::PricesArgs, statement::StatementArgs,
};
use crate::{
    domain::{
        credits::{Credits, ParseCreditsError},
        ids::{KeyId, OrganizationId, TeamId},
        role::Role,
        scope::Scope,
        switch::{NoSuchSwitch, Switch},
    },
    postgres::membership::Membership,
};

/// Where `tollgate dev` listens unless it is told otherwise.
pub(super) const DEV_LISTEN: &str = "127.0.0.1:8080";
/// Where `tollgate dev` keeps its data unless it is told otherwise.
pub(super) const DEV_DATA_DIR: &str = ".tollgate";

/// Lets many organizations share one LLM gateway safely.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, about, disable_help_subcommand = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

impl Cli {
    /// All that can be typed. An amount below zero is read as one, so that it is refused for what it is.
    pub(super) fn known() -> clap::Command {
        fn with_negatives(command: clap::Command) -> clap::Command {
            command.allow_negative_numbers(true).mut_subcommands(with_negatives)
        }
        with_negatives(Self::command())
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Everything on one machine, nothing to set up: database, issuer, mock provider, gateway
    Dev(DevArgs),
    /// The gateway, in production
    Serve(ServeArgs),
    /// A token from a running dev issuer
    Token(TokenArgs),
    /// Makes or updates the `tollgate` schema; needs the database's administrator
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
    /// Prices: the list, what is agreed with organizations, and bills computed anew
    Prices(PricesArgs),
    /// A statement of account: every movement of an organization's credits in a window of time
    Statement(StatementArgs),
}

#[derive(Debug, Args)]
pub(super) struct DevArgs {
    /// Where the gateway listens; port 0 is a free one
    #[arg(long, default_value = DEV_LISTEN, value_name = "ADDRESS")]
    pub(super) listen: SocketAddr,
    /// Where everything is kept
    #[arg(long, default_value = DEV_DATA_DIR, value_name = "DIR")]
    pub(super) data_dir: PathBuf,
    /// A provider instead of the mock, for example `http://127.0.0.1:11434`
    #[arg(long, value_name = "URL")]
    pub(super) upstream: Option<String>,
    /// A database instead of a private one, as its administrator
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(super) database_url: Option<String>,
    /// Without Postgres: everything in memory and lost at the end. No database and no data folder is used
    #[arg(long)]
    pub(super) in_memory: bool,
    /// One JSON line on standard output when ready, and JSON logs on standard error
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// The configuration file; docs/tollgate.toml shows all there is
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    /// The organization
    #[arg(long, value_name = "ID")]
    pub(super) org: OrganizationId,
    /// The person: becomes the token's `sub`
    #[arg(long, value_name = "NAME")]
    pub(super) user: String,
    /// owner, admin, member, viewer or platform
    #[arg(long)]
    pub(super) role: Role,
    /// The person's team
    #[arg(long, value_name = "ID")]
    pub(super) team: Option<TeamId>,
    /// The key of a program
    #[arg(long, value_name = "ID")]
    pub(super) key: Option<KeyId>,
    /// How long the token holds
    #[arg(long, default_value = "1h", value_parser = humantime_serde::re::humantime::parse_duration, value_name = "TIME")]
    pub(super) ttl: Duration,
    /// The dev gateway, or the dev issuer
    #[arg(long, default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub(super) url: String,
    /// One JSON line instead of the bare token
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    /// Where memberships are read from: tollgate or litellm; else what --config says, else as it was
    #[arg(long, env = "TOLLGATE_DATABASE__MEMBERSHIP", value_name = "SOURCE")]
    pub(super) membership: Option<Membership>,
    /// Lets the database take claims only under a seal with the key at this reference, `env:NAME` or `file:/path`; once
    /// for each key that is in use. Without it the key that --config names is accepted beside the others
    #[arg(long, value_name = "REFERENCE", conflicts_with = "unseal")]
    pub(super) seal_key: Vec<String>,
    /// Lets the database take claims without a seal again
    #[arg(long)]
    pub(super) unseal: bool,
    #[command(flatten)]
    pub(super) operator: Operator,
}

/// Which database an operator's command is about, and how it answers.
#[derive(Debug, Args)]
pub(super) struct Operator {
    /// The database; else that of --config; else, that of the `tollgate dev` that runs in this folder
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(super) database_url: Option<String>,
    /// The server's configuration file
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// One JSON line for machines
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ProveArgs {
    /// For production: checks the catalog and reads as every role, and writes nothing
    #[arg(long)]
    pub(super) read_only: bool,
    #[command(flatten)]
    pub(super) operator: Operator,
}

#[derive(Debug, Args)]
pub(super) struct OrgArgs {
    #[command(subcommand)]
    pub(super) command: OrgCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum OrgCommand {
    /// Makes an organization
    Create {
        /// What people call it
        #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
        name: String,
        /// Its id, where another system gave it one; else a new one
        #[arg(long)]
        id: Option<OrganizationId>,
        /// Whose days and months its budgets count, for example Europe/Berlin
        #[arg(long, default_value = "UTC", value_name = "ZONE")]
        time_zone: String,
        /// Where its rows are to be: in the shared tables, in a schema or in a database of its own
        #[arg(long, value_enum, default_value_t)]
        placement: Placement,
        /// Which database, by its name in the configuration
        #[arg(long, value_name = "NAME", required_if_eq("placement", "database"))]
        database: Option<String>,
        #[command(flatten)]
        operator: Operator,
    },
    /// Moves an organization to another place while its calls go on; run again, it goes on where it stopped
    Move {
        /// Which
        id: OrganizationId,
        /// Where its rows are to be
        #[arg(long, value_enum, required_unless_present = "abort", conflicts_with = "abort")]
        to: Option<Placement>,
        /// Which database, by its name in the configuration
        #[arg(long, value_name = "NAME", required_if_eq("to", "database"))]
        database: Option<String>,
        /// Undoes a move that was begun and has not come to its end
        #[arg(long)]
        abort: bool,
        #[command(flatten)]
        operator: Operator,
    },
    /// Shows an organization and its credits
    Show {
        /// Which; all of them without it
        id: Option<OrganizationId>,
        #[command(flatten)]
        operator: Operator,
    },
    /// Turns a kill switch on: no call starts any more, and open ones are cut
    ///
    /// Of the whole organization, or of one team, person or key in it. The whole organization can be
    /// resumed by the operator only; the others also by its owners and admins.
    Suspend {
        /// Which organization
        id: OrganizationId,
        #[command(flatten)]
        part: Part,
        /// Why: the organization's people can read it
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        operator: Operator,
    },
    /// Turns a kill switch off
    Resume {
        /// Which organization
        id: OrganizationId,
        #[command(flatten)]
        part: Part,
        #[command(flatten)]
        operator: Operator,
    },
}

/// Whom in an organization a kill switch is about; all of it, if nobody is named.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct Part {
    /// Only this team
    #[arg(long, value_name = "ID")]
    pub(super) team: Option<TeamId>,
    /// Only this person: a token's `sub`
    #[arg(long, value_name = "NAME", value_parser = a_person)]
    pub(super) user: Option<Box<str>>,
    /// Only this key of a program
    #[arg(long, value_name = "ID")]
    pub(super) key: Option<KeyId>,
}

impl From<Part> for Switch {
    fn from(Part { team, user, key }: Part) -> Self {
        let team = team.map(Self::Team);
        team.or(user.map(Self::User)).or(key.map(Self::Key)).unwrap_or(Self::Organization)
    }
}

/// Where an organization's rows are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Placement {
    /// In the tables that organizations share
    #[default]
    Row,
    /// In a schema of its own in the main database
    Schema,
    /// In a further database
    Database,
}

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

fn a_person(name: &str) -> Result<Box<str>, NoSuchSwitch> {
    Switch::read(Scope::User, name).map(|switch| switch.scope_id())
}

fn more_than_nothing(text: &str) -> Result<Credits, String> {
    let amount: Credits = text.parse().map_err(|error: ParseCreditsError| error.to_string())?;
    if amount > Credits::ZERO { Ok(amount) } else { Err("a grant is more than nothing".into()) }
}
