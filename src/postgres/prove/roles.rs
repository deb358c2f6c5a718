//! The roles that the proof acts as, and the claims that it sends with them.

use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use super::{
    Ground,
    checks::{OPERATORS_TABLES, names},
    execute, literal,
    report::Proof,
    rows::Canaries,
};
use crate::{
    postgres::{Seal, error, seal::Sealed},
    store::StoreError,
};

/// The roles of gateways, people and functions, and the owner of the tables.
pub(super) const ROLES: [&str; 9] = [
    "tollgate_login",
    "tollgate_owner",
    "tollgate_admin",
    "tollgate_member",
    "tollgate_viewer",
    "tollgate_platform",
    "tollgate_ledger",
    MOVER,
    "tollgate_migrator",
];
pub(super) const MOVER: &str = "tollgate_mover";

/// The roles that statements of people run as.
pub(super) const PEOPLE: [&str; 5] =
    ["tollgate_owner", "tollgate_admin", "tollgate_member", "tollgate_viewer", "tollgate_platform"];

/// The roles that this user may become, and the server's version.
pub(super) async fn roles(
    ground: &Ground<'_>,
    proof: &mut Proof,
) -> Result<(Vec<&'static str>, i32), StoreError> {
    let failed = |error: tokio_postgres::Error| error::failed(&error);
    let asked = include_str!("../sql/statements/prove/user.sql");
    let user = ground.query_one(asked, &[&ROLES.as_slice()]).await?;
    let may: Vec<String> = user.try_get(2).map_err(failed)?;
    let (may, not): (Vec<_>, Vec<_>) =
        ROLES.into_iter().partition(|role| may.iter().any(|one| one == role));
    for role in not {
        proof.unchecked(format!("what {role} can do: this user cannot become it"));
    }
    Ok((may, user.try_get(4).map_err(failed)?))
}

/// Becomes a role with these claims, or none.
pub(super) async fn become_role(
    client: &Client,
    role: &str,
    claims: Option<&str>,
) -> Result<(), StoreError> {
    let claims = claims.unwrap_or_default();
    let sql = format!(
        "set local role none; select set_config('request.jwt.claims', {}, true), set_config('role', {}, true)",
        literal(claims),
        literal(role)
    );
    execute(client, &sql).await
}

pub(super) fn claims(organization: Uuid, user: &str, role: &str) -> Value {
    json!({"organization_id": organization, "sub": user, "role_in_organization": role})
}

/// Claims of a namesake: a person of the organization that tries, with the ids of a person, a team and a key of the other
/// organization. Ids are free texts, so two organizations may use the same one for two people.
pub(super) fn namesake(canaries: &Canaries, role: &str) -> String {
    let Canaries { own, other, seal, .. } = canaries;
    let mut claims = claims(own.organization, &other.marker, role_of(role));
    for (table, column) in [("teams", "team_id"), ("api_keys", "key_id")] {
        let id = other.rows.get(table).and_then(|row| row.get(column));
        if let (Some(id), Some(fields)) = (id, claims.as_object_mut()) {
            fields.insert(column.to_owned(), id.clone());
        }
    }
    sent(seal.as_ref(), &claims)
}

/// Claims as they are sent: sealed now if there is a seal.
pub(super) fn sent(seal: Option<&Seal>, claims: &Value) -> String {
    Sealed::new(seal, &claims.to_string()).text().into_owned()
}

/// The role in the claims that belongs to this database role.
pub(super) fn role_of(role: &str) -> &str {
    match role {
        "tollgate_admin" => "admin",
        "tollgate_member" => "member",
        "tollgate_viewer" => "viewer",
        "tollgate_platform" => "platform",
        _ => "owner",
    }
}

/// Whether this is the operator's role on a table in which it may see the rows of every organization.
pub(super) fn operators(role: &str, table: &str) -> bool {
    role == "tollgate_platform" && names(OPERATORS_TABLES).contains(&table)
}
