//! `/admin/v1/kill-switches`, for an organization's own people.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Admin, fault, invalid};
use crate::{
    admin::kill_switches::{self, NotTurned},
    context::Tenant,
    domain::{percent, role::Role, scope::Scope, switch::Switch},
    refusal::Refusal,
    store::Flipped,
};

const PATH: &str = "/admin/v1/kill-switches";

/// The target of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    All,
    One(Switch),
}

/// The body of a `PUT`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    reason: Option<String>,
}

impl Target {
    pub(super) fn read(path: &str) -> Result<Self, Refusal> {
        let rest = path.strip_prefix(PATH).ok_or(Refusal::UnknownEndpoint)?;
        if rest.is_empty() {
            return Ok(Self::All);
        }
        let rest = rest.strip_prefix('/').ok_or(Refusal::UnknownEndpoint)?;
        // A person's name may contain slashes.
        let (scope, id) = match rest.split_once('/') {
            Some((scope, id)) => (scope, Some(id)),
            None => (rest, None),
        };
        let scope: Scope = scope.parse().map_err(|_| Refusal::UnknownEndpoint)?;
        if (scope == Scope::Organization) != id.is_none() {
            return Err(Refusal::UnknownEndpoint);
        }
        let wrong = |message: String| Refusal::InvalidBody {
            field: Some("id".to_owned()),
            message: message.into(),
        };
        let id = String::from_utf8(percent::decoded(id.unwrap_or_default()))
            .map_err(|_| wrong("The id in the path is not text.".to_owned()))?;
        match Switch::read(scope, &id) {
            Ok(switch) => Ok(Self::One(switch)),
            Err(error) => Err(wrong(format!("The id in the path is {error}."))),
        }
    }
}

pub(super) async fn show(
    admin: &Admin,
    tenant: &Tenant,
    role: Role,
    target: &Target,
) -> Result<Value, Refusal> {
    let on = admin.0.switches.list(tenant, role).await.map_err(|error| fault(&error, tenant))?;
    Ok(match target {
        Target::All => json!({
            "object": "list",
            "data": on.own.iter().map(json_of).collect::<Vec<_>>(),
            "suspended_by_operator": on.by_operator,
            "operator_reason": on.operator_reason,
            "suspended_by_policy": on.by_policy,
        }),
        Target::One(switch) => on
            .own
            .iter()
            .find(|flipped| flipped.switch == *switch)
            .map_or_else(|| json_of_off(switch), json_of),
    })
}

pub(super) async fn turn_on(
    admin: &Admin,
    tenant: &Tenant,
    role: Role,
    target: &Target,
    body: &Bytes,
) -> Result<Value, Refusal> {
    let Target::One(switch) = target else { return Err(Refusal::UnknownEndpoint) };
    let asked = if body.is_empty() { Ok(Asked::default()) } else { serde_json::from_slice(body) };
    let Ok(Asked { reason }) = asked else {
        return Err(invalid("Send {\"reason\": \"…\"}, or no body at all."));
    };
    let turned =
        kill_switches::turn_on(&*admin.0.switches, tenant, role, switch, reason.as_deref()).await;
    let flipped = turned.map_err(|error| match error {
        NotTurned::Reason => Refusal::InvalidBody {
            field: Some("reason".to_owned()),
            message: "The reason must be a text of at most 2000 bytes.".into(),
        },
        NotTurned::TooMany => invalid(
            "Too many kill switches are on. Turn some off, or suspend a team or the organization.",
        ),
        NotTurned::Store(error) => fault(&error, tenant),
    })?;
    changed(admin, tenant, switch, true);
    Ok(json_of(&flipped))
}

pub(super) async fn turn_off(
    admin: &Admin,
    tenant: &Tenant,
    role: Role,
    target: &Target,
) -> Result<Value, Refusal> {
    let Target::One(switch) = target else { return Err(Refusal::UnknownEndpoint) };
    let turned = admin.0.switches.turn_off(tenant, role, switch).await;
    turned.map_err(|error| fault(&error, tenant))?;
    changed(admin, tenant, switch, false);
    Ok(json_of_off(switch))
}

/// Logs the change, and reports it to `Admin::changed`. Only the log keeps who turned a kill switch off, because the
/// row of the switch is deleted.
fn changed(admin: &Admin, tenant: &Tenant, switch: &Switch, on: bool) {
    let organization = tenant.organization_id();
    tracing::info!(
        organization_id = %organization,
        user_id = tenant.user_id(),
        scope = switch.scope().as_str(),
        on,
        "a kill switch was set through the API"
    );
    (admin.0.changed)(organization);
}

fn json_of(flipped: &Flipped) -> Value {
    let Flipped { switch, reason, switched_by, switched_at } = flipped;
    json!({
        "object": "kill_switch",
        "scope": switch.scope(),
        "id": id_of(switch),
        "on": true,
        "reason": reason,
        "switched_by": switched_by,
        "switched_at": switched_at,
    })
}

fn json_of_off(switch: &Switch) -> Value {
    json!({"object": "kill_switch", "scope": switch.scope(), "id": id_of(switch), "on": false})
}

/// The id in the switch's scope. `None` for the whole organization, which is always the caller's.
fn id_of(switch: &Switch) -> Option<Box<str>> {
    (*switch != Switch::Organization).then(|| switch.scope_id())
}
