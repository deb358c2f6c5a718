//! Every role tries every verb on rows of another organization.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{
    Ground,
    answer::{attempt, copied, judge},
    execute, forged, newer,
    report::Proof,
    roles::{MOVER, PEOPLE, become_role, claims, operators, role_of, roles, sent},
    rows::Canaries,
    tries::Try,
};
use crate::{
    postgres::{Seal, error},
    store::StoreError,
};

/// Reads as every role, without claims and with claims of an organization that does not exist.
pub(super) async fn read(
    ground: &Ground<'_>,
    seal: Option<&Seal>,
    proof: &mut Proof,
) -> Result<(), StoreError> {
    let client = ground.client;
    let (roles, _) = roles(ground, proof).await?;
    proof.roles_were_tried();
    forged::keys(ground, &roles, proof).await?;
    proof.unchecked("writing and functions: read-only");
    let names =
        ground.query(include_str!("../sql/statements/prove/tenant_tables.sql"), &[]).await?;
    let stranger = Uuid::new_v4();
    for role in roles {
        for claims in [None, Some(claims(stranger, "canary", role_of(role)))] {
            let check = if claims.is_some() { "P01" } else { "P03" };
            for name in &names {
                let name: &str = name.try_get(0).map_err(|error| error::failed(&error))?;
                if claims.is_some() && operators(role, name) {
                    continue;
                }
                let sent = claims.as_ref().map(|claims| sent(seal, claims));
                become_role(client, role, sent.as_deref()).await?;
                let table = ground.table(name);
                let sql = format!("select organization_id from {table} limit 1");
                let answer = attempt(client, &sql, proof).await?;
                judge(proof, check, name, role, "select", &answer, 0);
                let copied =
                    copied(client, &format!("copy ({sql}) to stdout"), None, proof).await?;
                judge(proof, check, name, role, "copy", &copied, 0);
            }
        }
        if let Some(seal) = seal {
            forged::claims_count(ground, seal, role, stranger, proof).await?;
        }
    }
    execute(client, "set local role none").await
}

/// Tries everything, on every table or on one.
pub(super) async fn run(
    ground: &Ground<'_>,
    canaries: &Canaries,
    only: Option<&str>,
    proof: &mut Proof,
) -> Result<(), StoreError> {
    let client = ground.client;
    let (roles, version) = roles(ground, proof).await?;
    proof.roles_were_tried();
    for what in newer::missing(version) {
        proof.unchecked(format!("{what}: this server does not have it"));
    }
    if only.is_none() {
        forged::keys(ground, &roles, proof).await?;
    }
    for role in roles {
        let mut seen = false;
        let columns = updatable(ground, role, only).await?;
        for name in canaries.other.rows.keys() {
            if only.is_some_and(|only| only != name) {
                continue;
            }
            let column = columns.get(name);
            let try_on = Try { ground, client, canaries, role, name, column, version };
            if let Some(seal) = &canaries.seal {
                forged::reach(&try_on, seal, proof).await?;
            }
            seen |= try_on.foreign_rows(proof).await?;
            try_on.rows_of_a_namesake(proof).await?;
            try_on.wrong_role(proof).await?;
            if role == MOVER {
                try_on.rows_in_use(proof).await?;
            }
            become_role(client, role, None).await?;
            let sql = format!("select organization_id from {}", try_on.table());
            let answer = attempt(client, &sql, proof).await?;
            judge(proof, "P03", name, role, "select", &answer, 0);
        }
        // A role that sees no rows at all sees none of others either, which proves nothing.
        if !seen && only.is_none() && PEOPLE.contains(&role) {
            proof.found("P00", role, "sees not even its own rows: the claims have no effect");
        }
    }
    execute(client, "set local role none").await
}

async fn updatable(
    ground: &Ground<'_>,
    role: &str,
    only: Option<&str>,
) -> Result<BTreeMap<String, String>, StoreError> {
    let failed = |error: tokio_postgres::Error| error::failed(&error);
    let rows = ground
        .query(include_str!("../sql/statements/prove/updatable.sql"), &[&role, &only])
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?)))
        .collect()
}
