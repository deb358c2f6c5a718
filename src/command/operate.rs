//! `tollgate org`, `credits` and `policy`: the operator's basics.

use std::{fs, process::ExitCode};

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Failure,
    args::{CreditsCommand, Operator as Named, OrgCommand, PolicyCommand},
    connect,
    output::Output,
    places,
};
use crate::{
    domain::{ids::OrganizationId, policy::Policy, switch::Switch},
    gateway::{database::DatabaseError, installation},
    postgres::{
        Place, PostgresError,
        operator::{Operator, Organization, PolicyError},
    },
    store::{Balance, StoreError, SwitchesOn},
};

pub(super) async fn org(command: OrgCommand) -> Result<ExitCode, Failure> {
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
                        Err(error) if store.places().place_of(id) != Place::Row => {
                            let place = store.places().place_of(id);
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

async fn look(store: &Operator, id: OrganizationId) -> Result<Shown, StoreError> {
    Ok((store.organization(id).await?, store.switches(id).await?))
}

/// An organization, and its kill switches that are on.
type Shown = (Organization, SwitchesOn);

pub(super) async fn credits(command: CreditsCommand) -> Result<ExitCode, Failure> {
    let CreditsCommand::Grant { org, amount, reference, operator } = command;
    let (store, output) = begin(&operator).await?;
    let granted = store.grant_credits(org, amount, reference.as_deref()).await.map_err(
        |error| match sqlstate(&error) {
            Some("TG409") => Failure::new("this reference stands for a grant of another amount"),
            Some("22003") => Failure::new("the balance would be larger than 9.2 billion dollars"),
            _ => refused(org, error),
        },
    )?;
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

pub(super) async fn policy(command: PolicyCommand) -> Result<ExitCode, Failure> {
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

pub(super) async fn begin(operator: &Named) -> Result<(Operator, Output), Failure> {
    let (addresses, config) = connect::databases(operator)?;
    let store = installation::operator(&addresses, config.as_ref()).await?;
    Ok((store, Output::new(operator.json)))
}

/// What Postgres says of a value that no check before it caught.
pub(super) fn sqlstate(error: &StoreError) -> Option<&str> {
    let code = PostgresError::of(error)?.code()?;
    Some(code.code())
}

pub(super) fn refused(id: OrganizationId, error: StoreError) -> Failure {
    if matches!(error, StoreError::UnknownOrganization) {
        return Failure::new(format!("there is no organization {id} in this database"));
    }
    DatabaseError::from(error).into()
}

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
    text.push_str(&places::text_of(&organization.standing));
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
        "placement": places::json_of(organization.organization_id, &organization.standing),
    })
}

pub(super) fn text_of_balance(balance: &Balance) -> String {
    let Balance { posted, held, debt, .. } = balance;
    format!("Credits: {posted} dollars, {held} of them held, {debt} owed.")
}

/// In nano-dollars, as everywhere but in texts for people.
pub(super) fn json_of_balance(balance: &Balance) -> Value {
    json!({"posted": balance.posted, "held": balance.held, "debt": balance.debt})
}
