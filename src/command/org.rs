//! `tollgate org`: organizations, and their kill switches.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{
    Failure,
    credits::text_of_balance,
    operator::{Operator, begin},
    output::Output,
    places::{self, Placement},
};
use crate::{
    admin::{
        kill_switches::{self, Turned},
        organizations::{self, Listed, NewOrganization, Shown},
    },
    domain::{
        ids::{KeyId, OrganizationId, TeamId},
        scope::Scope,
        switch::{NoSuchSwitch, Switch},
    },
    store::admin::Organization,
};

#[derive(Debug, Args)]
pub(super) struct OrgArgs {
    #[command(subcommand)]
    pub(super) command: OrgCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum OrgCommand {
    /// Creates an organization
    Create {
        /// Its name
        #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
        name: String,
        /// Its id, if another system has assigned one. Default: a new id
        #[arg(long)]
        id: Option<OrganizationId>,
        /// The time zone of its budgets' days and months, for example Europe/Berlin
        #[arg(long, default_value = "UTC", value_name = "ZONE")]
        time_zone: String,
        /// Where its rows are kept: in the shared tables, in a schema or in a database of its own
        #[arg(long, value_enum, default_value_t)]
        placement: Placement,
        /// Which database, by its name in the configuration
        #[arg(long, value_name = "NAME", required_if_eq("placement", "database"))]
        database: Option<String>,
        #[command(flatten)]
        operator: Operator,
    },
    /// Moves an organization to another place while its calls go on. Run it again to resume an interrupted move
    Move {
        /// Which organization
        id: OrganizationId,
        /// Where its rows are moved to
        #[arg(long, value_enum, required_unless_present = "abort", conflicts_with = "abort")]
        to: Option<Placement>,
        /// Which database, by its name in the configuration
        #[arg(long, value_name = "NAME", required_if_eq("to", "database"))]
        database: Option<String>,
        /// Undoes a move that has begun and is not complete
        #[arg(long)]
        abort: bool,
        #[command(flatten)]
        operator: Operator,
    },
    /// Shows an organization and its credits
    Show {
        /// Which organization. Default: all
        id: Option<OrganizationId>,
        #[command(flatten)]
        operator: Operator,
    },
    /// Turns a kill switch on: no call starts any more, and open calls are cut
    ///
    /// The kill switch is for the whole organization, or for one team, person or key in it. Only the operator can
    /// resume the whole organization. Its owners and admins can also resume a team, person or key.
    Suspend {
        /// Which organization
        id: OrganizationId,
        #[command(flatten)]
        part: Part,
        /// The reason, which the organization's people can read
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

/// The scope of a kill switch in an organization. Default: the whole organization.
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

fn a_person(name: &str) -> Result<Box<str>, NoSuchSwitch> {
    Switch::read(Scope::User, name).map(|switch| switch.scope_id())
}

pub(super) async fn run(command: OrgCommand) -> Result<ExitCode, Failure> {
    match command {
        OrgCommand::Create { name, id, time_zone, placement, database, operator } => {
            let place = places::named(placement, database)?;
            create(NewOrganization { id, name, time_zone, place }, &operator).await?;
        }
        OrgCommand::Move { id, to: Some(to), database, operator, .. } => {
            places::move_to(id, &places::named(to, database)?, &operator).await?;
        }
        OrgCommand::Move { id, to: None, operator, .. } => places::abort(id, &operator).await?,
        OrgCommand::Show { id: Some(id), operator } => {
            let (store, output) = begin(&operator).await?;
            let shown = organizations::show(&store, id).await?;
            output.result(text_of(&shown), &shown.document())?;
        }
        OrgCommand::Show { id: None, operator } => {
            let (store, output) = begin(&operator).await?;
            let listed = organizations::list(&store).await?;
            output.result(text_of_all(&listed), &organizations::document(&listed))?;
        }
        OrgCommand::Suspend { id, part, reason, operator } => {
            let (store, output) = begin(&operator).await?;
            let reason = reason.as_deref();
            let turned = kill_switches::suspend(&store, id, part.into(), reason).await?;
            said(&turned, output)?;
        }
        OrgCommand::Resume { id, part, operator } => {
            let (store, output) = begin(&operator).await?;
            said(&kill_switches::resume(&store, id, part.into()).await?, output)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(new: NewOrganization, operator: &Operator) -> Result<(), Failure> {
    let (store, output) = begin(operator).await?;
    let created = organizations::create(&store, new).await?;
    let (id, name) = (created.id, &created.name);
    output.result(
        format_args!(
            "{name} is {id}. It has no credits yet: tollgate credits grant --org {id} --amount 10"
        ),
        &created.document(),
    )
}

fn said(turned: &Turned, output: Output) -> Result<(), Failure> {
    let Turned { organization: id, switch, on } = turned;
    let state = if *on { "suspended: no call starts" } else { "resumed" };
    let text = if *switch == Switch::Organization {
        format!("{id} is {state}.")
    } else {
        format!("The {} {} of {id} is {state}.", switch.scope(), switch.scope_id())
    };
    output.result(text, &turned.document())
}

fn text_of_all(listed: &[Listed]) -> String {
    if listed.is_empty() {
        return "There are no organizations yet.".to_owned();
    }
    let texts: Vec<_> = listed
        .iter()
        .map(|one| match one {
            Listed::Shown(shown) => text_of(shown),
            Listed::Away { id, place, error } => {
                format!("{id}\n  cannot be read in {place}: {error}")
            }
        })
        .collect();
    texts.join("\n\n")
}

fn text_of(Shown { organization, switches }: &Shown) -> String {
    let Organization { organization_id, name, suspended, time_zone, balance, .. } = organization;
    let reason = |reason: &Option<String>| match reason {
        Some(reason) => format!(" ({reason})"),
        None => String::new(),
    };
    let state = if *suspended {
        format!("suspended{}", reason(&switches.operator_reason))
    } else {
        "active".to_owned()
    };
    let mut text = format!(
        "{name} ({organization_id})\n  {state}, budgets by the days of {time_zone}\n  {}",
        text_of_balance(balance)
    );
    for on in &switches.own {
        let whom = format!("{} {}", on.switch.scope(), on.switch.scope_id());
        text.extend(["\n  Suspended: ", whom.trim_end(), &reason(&on.reason)]);
    }
    text.push_str(&places::text_of(&organization.whereabouts));
    text
}
