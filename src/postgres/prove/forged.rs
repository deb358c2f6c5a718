//! Proves that forged claims gain nothing where claims must be sealed.

use uuid::Uuid;

use super::{
    Ground,
    answer::{Answer, attempt, judge},
    ident, literal,
    report::Proof,
    roles::{PEOPLE, become_role, claims, role_of, sent},
    rows::Canaries,
    tries::Try,
};
use crate::{clock::unix_millis, postgres::Seal, store::StoreError};

/// Longer than a seal is valid, and longer than it may be valid.
const FAR_OFF_MS: i64 = 600_000;
/// Forged claims of the other organization, each with a word for the forgery.
pub(super) fn forms(seal: &Seal, canaries: &Canaries, role: &str) -> Vec<(&'static str, String)> {
    let of = |organization, user| claims(organization, user, role_of(role)).to_string();
    let (own, other) = (&canaries.own, &canaries.other);
    // The claims name the other organization's canary as the person.
    let theirs = of(other.organization, &other.marker);
    forgeries(seal, &of(own.organization, &own.marker), &theirs)
}

fn forgeries(seal: &Seal, own: &str, theirs: &str) -> Vec<(&'static str, String)> {
    let now = unix_millis();
    let moved = seal.seal(own, now);
    let moved = moved.split_once("\",").map_or("", |(moved, _)| moved);
    let members = theirs.trim_start_matches('{');
    vec![
        ("without a seal", theirs.to_owned()),
        ("sealed with an unknown key", Seal::made_up("00000000").seal(theirs, now)),
        (
            "sealed with a key that is not the one it names",
            Seal::made_up(seal.key_id()).seal(theirs, now),
        ),
        ("whose seal has expired", seal.seal(theirs, now.saturating_sub(FAR_OFF_MS))),
        ("whose seal is of a time to come", seal.seal(theirs, now.saturating_add(FAR_OFF_MS))),
        ("under the seal of others", format!("{moved}\",{members}")),
    ]
}

/// Tries to reach the other organization's row of one table as one role, with forged claims of that organization.
pub(super) async fn reach(
    try_on: &Try<'_>,
    seal: &Seal,
    proof: &mut Proof,
) -> Result<(), StoreError> {
    let Try { client, canaries, role, name, column, .. } = *try_on;
    if !PEOPLE.contains(&role) {
        return Ok(());
    }
    let other = canaries.other.organization;
    let (table, theirs) = (try_on.table(), format!("where organization_id = '{other}'"));
    let select = format!("select organization_id from {table} {theirs}");
    let own = claims(canaries.own.organization, &canaries.own.marker, role_of(role));
    for (number, (what, forged)) in forms(seal, canaries, role).into_iter().enumerate() {
        become_role(client, role, Some(&forged)).await?;
        let mut statements = vec![select.clone()];
        if number == 0 {
            let column = ident(column.map_or("organization_id", String::as_str));
            statements.push(format!("update {table} set {column} = {column} {theirs}"));
            statements.push(format!("delete from {table} {theirs}"));
            statements.push(try_on.insert(&canaries.other));
        }
        for sql in statements {
            let verb = sql.split(' ').next().unwrap_or_default();
            let answer = attempt(client, &sql, proof).await?;
            refused(proof, name, role, &format!("{verb} with claims {what}"), &answer);
        }
        // Injected in the middle of a statement that began with genuine claims.
        become_role(client, role, Some(&sent(Some(seal), &own))).await?;
        let sql = format!(
            "select t.organization_id from (select set_config('request.jwt.claims', {}, true) as claims offset 0) as injected \
               cross join lateral (select organization_id from {table} {theirs} and injected.claims is not null) as t",
            literal(&forged)
        );
        let answer = attempt(client, &sql, proof).await?;
        refused(proof, name, role, &format!("select that injects claims {what}"), &answer);
    }
    Ok(())
}

fn refused(proof: &mut Proof, table: &str, role: &str, verb: &str, answer: &Answer) {
    if !matches!(answer, Answer::Unsealed) {
        judge(proof, "P06", table, role, verb, answer, 0);
    }
}

/// Without any rows: genuine claims under a seal count, and forged claims do not.
pub(super) async fn claims_count(
    ground: &Ground<'_>,
    seal: &Seal,
    role: &str,
    stranger: Uuid,
    proof: &mut Proof,
) -> Result<(), StoreError> {
    const OBJECT: &str = "current_organization_id()";
    if !PEOPLE.contains(&role) {
        return Ok(());
    }
    let client = ground.client;
    let read = ground.table("current_organization_id");
    let sql = format!("select where {read}() = '{stranger}'");
    let genuine = claims(stranger, "canary", role_of(role));
    let own = claims(Uuid::new_v4(), "canary", role_of(role)).to_string();
    become_role(client, role, Some(&sent(Some(seal), &genuine))).await?;
    if !matches!(attempt(client, &sql, proof).await?, Answer::Rows(1)) {
        proof.found("P06", OBJECT, format!("does not take genuine claims from {role}"));
    }
    for (what, forged) in forgeries(seal, &own, &genuine.to_string()) {
        become_role(client, role, Some(&forged)).await?;
        if !matches!(attempt(client, &sql, proof).await?, Answer::Unsealed) {
            proof.found("P06", OBJECT, format!("takes claims {what} from {role}"));
        }
    }
    Ok(())
}

/// Tries to read the keys of seals as every role that must not.
pub(super) async fn keys(
    ground: &Ground<'_>,
    roles: &[&str],
    proof: &mut Proof,
) -> Result<(), StoreError> {
    let client = ground.client;
    let sql = format!("select key_id from {}", ground.table("seal_keys"));
    for role in roles.iter().filter(|role| **role != "tollgate_migrator") {
        become_role(client, role, None).await?;
        let answer = attempt(client, &sql, proof).await?;
        judge(proof, "C24", "seal_keys", role, "select", &answer, 0);
    }
    Ok(())
}
