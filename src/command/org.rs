//! `tollgate org`: organizations, and their kill switches.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Failure,
    credits::{json_of_balance, text_of_balance},
    operator::{Operator, begin, refused},
    output::Output,
    places::{self, Placement},
};
use crate::{
    domain::place::Place,
    domain::{
        ids::{KeyId, OrganizationId, TeamId},
        scope::Scope,
        switch::{NoSuchSwitch, Switch},
    },
    gateway::DatabaseError,
    postgres,
    store::{
        StoreError, SwitchesOn,
        admin::{Organization, OrganizationAdmin, SwitchAdmin},
    },
};

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

fn a_person(name: &str) -> Result<Box<str>, NoSuchSwitch> {
    Switch::read(Scope::User, name).map(|switch| switch.scope_id())
}

pub(super) async fn run(command: OrgCommand) -> Result<ExitCode, Failure> {
    match command {
        OrgCommand::Create { name, id, time_zone, placement, database, operator } => {
            let id = id.unwrap_or_else(|| OrganizationId::new(Uuid::now_v7()));
            let place = places::named(placement, database)?;
            places::create(id, &name, &time_zone, &place, &operator).await?;
        }
        OrgCommand::Move { id, to: Some(to), database, operator, .. } => {
            places::move_to(id, &places::named(to, database)?, &operator).await?;
        }
        OrgCommand::Move { id, to: None, operator, .. } => places::abort(id, &operator).await?,
        OrgCommand::Show { id: Some(id), operator } => {
            let (store, output) = begin(&operator).await?;
            let shown = look(&store, id).await.map_err(|error| refused(id, error))?;
            output.result(text_of(&shown), &json_of(&shown))?;
        }
        OrgCommand::Show { id: None, operator } => {
            let (store, output) = begin(&operator).await?;
            let (mut texts, mut documents) = (Vec::new(), Vec::new());
            let mut after = OrganizationId::new(Uuid::nil());
            loop {
                let page = store.organizations_after(after).await.map_err(DatabaseError::from)?;
                let Some(last) = page.last() else { break };
                after = *last;
                for id in page {
                    match look(&store, id).await {
                        Ok(shown) => {
                            texts.push(text_of(&shown));
                            documents.push(json_of(&shown));
                        }
                        // Its place is away, and those of others may not be.
                        Err(error) if store.place_of(id) != Place::Row => {
                            let place = store.place_of(id);
                            texts.push(format!("{id}\n  cannot be read in {place}: {error}"));
                            documents
                                .push(json!({"organization_id": id, "error": error.to_string()}));
                        }
                        Err(error) => return Err(refused(id, error)),
                    }
                }
            }
            let text = if texts.is_empty() {
                "There are no organizations yet.".to_owned()
            } else {
                texts.join("\n\n")
            };
            output.result(text, &json!({"organizations": documents}))?;
        }
        OrgCommand::Suspend { id, part, reason, operator } => {
            let switch = Switch::from(part);
            let (store, output) = begin(&operator).await?;
            let turned = store.turn_on(id, &switch, reason.as_deref()).await;
            if !turned.map_err(|error| refused(id, error))? {
                return Err(Failure::new(
                    "as many of its kill switches are on as may be: suspend a team, or all of it",
                ));
            }
            said(id, &switch, true, output)?;
        }
        OrgCommand::Resume { id, part, operator } => {
            let switch = Switch::from(part);
            let (store, output) = begin(&operator).await?;
            store.turn_off(id, &switch).await.map_err(|error| refused(id, error))?;
            said(id, &switch, false, output)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn said(
    id: OrganizationId,
    switch: &Switch,
    suspended: bool,
    output: Output,
) -> Result<(), Failure> {
    let state = if suspended { "suspended: no call starts" } else { "resumed" };
    let (scope, scope_id) = (switch.scope(), switch.scope_id());
    if *switch == Switch::Organization {
        let document = json!({"organization_id": id, "suspended": suspended});
        return output.result(format_args!("{id} is {state}."), &document);
    }
    output.result(
        format_args!("The {scope} {scope_id} of {id} is {state}."),
        &json!({"organization_id": id, "suspended": suspended, "scope": scope, "scope_id": scope_id}),
    )
}

async fn look(store: &postgres::Operator, id: OrganizationId) -> Result<Shown, StoreError> {
    Ok((store.organization(id).await?, store.switches(id).await?))
}

/// An organization, and its kill switches that are on.
type Shown = (Organization, SwitchesOn);

fn text_of((organization, switches): &Shown) -> String {
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

fn json_of((organization, switches): &Shown) -> Value {
    let own: Vec<_> = switches
        .own
        .iter()
        .map(|on| {
            json!({
                "scope": on.switch.scope(),
                "scope_id": on.switch.scope_id(),
                "reason": on.reason,
                "switched_by": on.switched_by,
                "switched_at": on.switched_at,
            })
        })
        .collect();
    json!({
        "organization_id": organization.organization_id,
        "name": organization.name,
        "suspended": organization.suspended,
        "suspended_reason": switches.operator_reason,
        "kill_switches": own,
        "time_zone": organization.time_zone,
        "policy": organization.policy,
        "credits": json_of_balance(&organization.balance),
        "placement": places::json_of(organization.organization_id, &organization.whereabouts),
    })
}
