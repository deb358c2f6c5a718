//! Reads the caller from the payload, and checks the claims that `jsonwebtoken` leaves unchecked.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{config::VerifierConfig, denial::Denial};
use crate::{
    context::{Identity, Tenant},
    domain::{
        ids::{KeyId, OrganizationId, TeamId},
        role::Role,
    },
};

const SUBJECT_BYTES_MAX: usize = 255;

/// The tenant that a payload names, and the second at which the token expires.
pub(super) struct Read {
    pub(super) tenant: Tenant,
    pub(super) ends: i64,
}

/// Reads a payload that `jsonwebtoken` has accepted, at `now` (Unix seconds).
///
/// This function closes that crate's gaps. The crate accepts a list for `iss`, and ignores `iat` and `jti`. It rounds
/// fractions, and reads no clock but the system's. It also accepts a token in the very second of its `exp`, in which
/// RFC 7519 refuses it.
pub(super) fn read(
    payload: Map<String, Value>,
    rules: &VerifierConfig,
    now: i64,
) -> Result<Read, Denial> {
    let leeway = i64::try_from(rules.leeway.as_secs()).unwrap_or(0);
    let ends = seconds(payload.get("exp").ok_or(Denial::Claims)?)?.saturating_add(leeway);
    let starts = payload.get("nbf").map(seconds).transpose()?;
    payload.get("iat").map(seconds).transpose()?;
    if payload.get("jti").is_some_and(|jti| !jti.is_string()) {
        return Err(Denial::Claims);
    }
    if !payload.get("iss").is_some_and(Value::is_string) {
        return Err(Denial::Claims);
    }
    if now >= ends {
        return Err(Denial::Expired);
    }
    if starts.is_some_and(|starts| starts > now.saturating_add(leeway)) {
        return Err(Denial::NotYetValid);
    }

    let at =
        |pointer: &Option<String>| pointer.as_deref().and_then(|pointer| find(&payload, pointer));
    let organization_id = find(&payload, &rules.organization_claim)
        .and_then(uuid)
        .map(OrganizationId::new)
        .ok_or(Denial::Organization)?;
    let team_id = match at(&rules.team_claim) {
        None | Some(Value::Null) => None,
        // An error, because a caller without a team would escape the team's budget.
        Some(team) => Some(TeamId::new(uuid(team).ok_or(Denial::Team)?)),
    };
    let key_id = match at(&rules.key_claim) {
        None | Some(Value::Null) => None,
        // An error, because a caller without a key would escape the key's limits.
        Some(key) => Some(KeyId::new(uuid(key).ok_or(Denial::ProgramKey)?)),
    };
    let role = at(&rules.role_claim).and_then(role);
    let user_id = subject(&payload)?.to_owned();
    let identity = Identity { organization_id, user_id: &user_id, team_id, key_id, role };
    Ok(Read { tenant: Tenant::from_claims(identity, payload), ends })
}

fn subject(payload: &Map<String, Value>) -> Result<&str, Denial> {
    let subject = payload.get("sub").and_then(Value::as_str).ok_or(Denial::Claims)?;
    let usable =
        (1..=SUBJECT_BYTES_MAX).contains(&subject.len()) && !subject.chars().any(char::is_control);
    if usable { Ok(subject) } else { Err(Denial::Claims) }
}

/// A role in an organization, if the value names one. `platform` is ignored: it is the role of the
/// operator's staff, which a token cannot grant.
fn role(value: &Value) -> Option<Role> {
    value.as_str()?.parse().ok().filter(|role| *role != Role::Platform)
}

/// Whole seconds of a date. RFC 7519 allows a fraction, which is cut off in the text to avoid floats.
fn seconds(date: &Value) -> Result<i64, Denial> {
    let Value::Number(number) = date else { return Err(Denial::Claims) };
    if let Some(seconds) = number.as_i64() {
        return Ok(seconds);
    }
    let text = number.to_string();
    let whole = text.split_once('.').and_then(|(whole, fraction)| {
        fraction.bytes().all(|byte| byte.is_ascii_digit()).then(|| whole.parse().ok())?
    });
    whole.ok_or(Denial::Claims)
}

/// Resolves a JSON pointer (RFC 6901) in an object, without wrapping the object in a `Value`.
fn find<'a>(payload: &'a Map<String, Value>, pointer: &str) -> Option<&'a Value> {
    let path = pointer.strip_prefix('/')?;
    let (first, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
    payload.get(&first.replace("~1", "/").replace("~0", "~"))?.pointer(rest)
}

/// Reads a UUID in its hyphenated form only. Another service might read braces, `urn:uuid:` or bare
/// hexadecimal differently.
fn uuid(value: &Value) -> Option<Uuid> {
    value.as_str().filter(|text| text.len() == 36).and_then(|text| Uuid::try_parse(text).ok())
}
