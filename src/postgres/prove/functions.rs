//! Every role calls every function that it may call, with ids of the other organization.
//!
//! Called for the organization `other` with the claims of `own`, a function must refuse or return nothing. Called for
//! `own` with ids from rows of `other`, it must return nothing of `other` and must not change its rows. Where claims
//! must be sealed, a function must refuse forged claims because of their seal.

use tokio_postgres::{SimpleQueryMessage, error::SqlState};

use super::{
    Ground, execute, forged, literal,
    report::Proof,
    roles,
    rows::{Canaries, Canary},
};
use crate::{
    postgres::{Seal, error},
    store::StoreError,
};

struct Function {
    signature: String,
    name: String,
    arguments: Vec<(String, String)>,
}

pub(super) async fn run(
    ground: &Ground<'_>,
    canaries: &Canaries,
    proof: &mut Proof,
) -> Result<(), StoreError> {
    let (roles, _) = roles::roles(ground, proof).await?;
    // Comparing all rows needs a user that sees all of them. Answers can be judged by every user.
    let watch = watch(ground, canaries).await?;
    if watch.is_none() {
        proof.unchecked("what functions leave behind: this user does not see past row security");
    }
    for role in roles {
        if matches!(role, "tollgate_migrator" | "tollgate_ledger") {
            continue; // owners of functions, which nobody can become
        }
        for function in functions(ground, role).await? {
            for who in [Who::Stranger, Who::Own, Who::Namesake] {
                let asked = Asked::new(ground, canaries, role, &function, who);
                call(ground, canaries, &asked, watch.as_ref(), proof).await?;
            }
            if let Some(seal) = &canaries.seal {
                call_forged(ground, canaries, seal, role, &function, watch.as_ref(), proof).await?;
            }
        }
    }
    execute(ground.client, "set local role none").await
}

/// Who calls a function, with ids of whom.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    /// A person of the organization that tries, for the other organization.
    Stranger,
    /// The same person, for the own organization, with ids from rows of the other one.
    Own,
    /// A person with the same ids as one of the other organization, for that organization.
    Namesake,
}

/// One call of a function.
struct Asked<'a> {
    role: &'a str,
    function: &'a Function,
    who: Who,
    claims: String,
    sql: String,
}

impl<'a> Asked<'a> {
    fn new(
        ground: &Ground<'_>,
        canaries: &Canaries,
        role: &'a str,
        function: &'a Function,
        who: Who,
    ) -> Self {
        let claims = if who == Who::Namesake {
            roles::namesake(canaries, role)
        } else {
            own_claims(canaries, role)
        };
        let sql = function.call(ground, canaries, who != Who::Own, &claims);
        Self { role, function, who, claims, sql }
    }

    /// Whether an answer is about rows of the other organization.
    fn shows(&self, canaries: &Canaries, text: &str) -> bool {
        let Canary { organization, marker, .. } = &canaries.other;
        match self.who {
            Who::Stranger => text.contains(marker),
            Who::Own => text.contains(marker) || text.contains(&organization.to_string()),
            // The marker is the namesake's own name.
            Who::Namesake => text.contains(&organization.to_string()),
        }
    }
}

async fn call(
    ground: &Ground<'_>,
    canaries: &Canaries,
    asked: &Asked<'_>,
    watch: Option<&Watch>,
    proof: &mut Proof,
) -> Result<(), StoreError> {
    proof.calls = proof.calls.saturating_add(1);
    let client = ground.client;
    execute(client, "savepoint call").await?;
    let Asked { role, function, who, claims, sql } = asked;
    roles::become_role(client, role, Some(claims)).await?;
    let answer = client.simple_query(sql).await;
    match answer {
        Err(error) if error.code().is_none() => return Err(error::failed(&error)),
        // The error has undone whatever the function did.
        Err(_) => {}
        Ok(answer) => {
            let text = text_of(&answer);
            let leaks = text.iter().any(|text| asked.shows(canaries, text));
            let names_organization =
                function.arguments.iter().any(|(name, _)| name == "p_organization_id");
            let says =
                *who != Who::Own && names_organization && text.iter().any(|text| !is_nothing(text));
            if leaks || says {
                let what = if leaks { "shows rows of" } else { "answers for" };
                proof.found(
                    "P04",
                    &function.signature,
                    format!("{what} another organization to {role}"),
                );
            }
            execute(client, "set local role none").await?;
            if changed(ground, watch).await? {
                proof.found(
                    "P04",
                    &function.signature,
                    format!("changes rows of another organization for {role}"),
                );
            }
        }
    }
    execute(client, "rollback to savepoint call").await
}

/// Calls a function for the other organization, with every form of forged claims of that organization.
async fn call_forged(
    ground: &Ground<'_>,
    canaries: &Canaries,
    seal: &Seal,
    role: &str,
    function: &Function,
    watch: Option<&Watch>,
    proof: &mut Proof,
) -> Result<(), StoreError> {
    let (client, other) = (ground.client, &canaries.other);
    let takes_claims = function.arguments.iter().any(|(name, _)| name == "p_claims");
    for (what, claims) in forged::forms(seal, canaries, role) {
        proof.calls = proof.calls.saturating_add(1);
        let mut wrong = |how: &str| {
            proof.found("P06", &function.signature, format!("{how} claims {what} as {role}"));
        };
        execute(client, "savepoint call").await?;
        // For a function without a parameter for claims, the claims in force count.
        roles::become_role(client, role, (!takes_claims).then_some(claims.as_str())).await?;
        match client.simple_query(&function.call(ground, canaries, true, &claims)).await {
            Err(error) => match error.code() {
                None => return Err(error::failed(&error)),
                Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {}
                Some(_) if takes_claims => wrong("refuses for another reason than the seal"),
                Some(_) => {}
            },
            Ok(_) if takes_claims => wrong("takes"),
            Ok(answer) => {
                let theirs = [other.marker.clone(), other.organization.to_string()];
                if text_of(&answer).iter().any(|text| theirs.iter().any(|one| text.contains(one))) {
                    wrong("shows another organization to");
                }
                execute(client, "set local role none").await?;
                if changed(ground, watch).await? {
                    wrong("changes rows of another organization for");
                }
            }
        }
        execute(client, "rollback to savepoint call").await?;
    }
    Ok(())
}

fn own_claims(canaries: &Canaries, role: &str) -> String {
    let own = &canaries.own;
    let claims = roles::claims(own.organization, &own.marker, roles::role_of(role));
    roles::sent(canaries.seal.as_ref(), &claims)
}

/// Whether an answer is an empty one.
fn is_nothing(text: &str) -> bool {
    matches!(text, "" | "f" | "0" | "{}" | "[]")
}

fn text_of(answer: &[SimpleQueryMessage]) -> Vec<String> {
    let rows = answer.iter().filter_map(|message| {
        if let SimpleQueryMessage::Row(row) = message { Some(row) } else { None }
    });
    rows.flat_map(|row| (0..row.len()).filter_map(|column| row.get(column).map(str::to_owned)))
        .collect()
}

async fn functions(ground: &Ground<'_>, role: &str) -> Result<Vec<Function>, StoreError> {
    let failed = |error: tokio_postgres::Error| error::failed(&error);
    let rows =
        ground.query(include_str!("../sql/statements/prove/functions.sql"), &[&role]).await?;
    let function = |row: &tokio_postgres::Row| {
        let names: Vec<String> = row.try_get(2)?;
        let kinds: Vec<String> = row.try_get(3)?;
        Ok(Function {
            signature: row.try_get(0)?,
            name: row.try_get(1)?,
            arguments: names.into_iter().zip(kinds).collect(),
        })
    };
    rows.iter().map(|row| function(row).map_err(failed)).collect()
}

impl Function {
    fn call(
        &self,
        ground: &Ground<'_>,
        canaries: &Canaries,
        foreign: bool,
        claims: &str,
    ) -> String {
        let arguments: Vec<_> = self
            .arguments
            .iter()
            .map(|(name, kind)| argument(canaries, foreign, claims, name, kind))
            .collect();
        format!("select * from {}({})", ground.table(&self.name), arguments.join(", "))
    }
}

fn argument(canaries: &Canaries, foreign: bool, claims: &str, name: &str, kind: &str) -> String {
    let Canaries { own, other, .. } = canaries;
    if let Some(element) = kind.strip_suffix("[]") {
        // `p_request_ids` is an array of what `p_request_id` is.
        let name = name.strip_suffix('s').unwrap_or(name);
        return format!("array[{}]", argument(canaries, foreign, claims, name, element));
    }
    let value = match (name, kind) {
        ("p_organization_id", _) => {
            let canary = if foreign { other } else { own };
            literal(&canary.organization.to_string())
        }
        ("p_claims", _) => literal(claims),
        // A table that every function with this parameter accepts.
        ("p_table", _) => "'memberships'".to_owned(),
        (name, "uuid") => literal(&id_of(other, name.trim_start_matches("p_"))),
        (_, "text") => "'canary'".to_owned(),
        (_, "boolean") => "false".to_owned(),
        (_, "smallint" | "integer" | "bigint" | "numeric") => "1".to_owned(),
        (_, "jsonb" | "json") => "'{}'".to_owned(),
        _ => "null".to_owned(),
    };
    format!("{value}::{kind}")
}

/// The other organization's value of that column, from any of its rows.
fn id_of(other: &Canary, column: &str) -> String {
    let found = other.rows.values().find_map(|row| row.get(column)?.as_str());
    found.map_or_else(|| other.organization.to_string(), str::to_owned)
}

/// The state of all rows of the other organization after they were planted. Each call is rolled back, so this is their
/// state before every call.
struct Watch {
    sql: String,
    before: Option<String>,
}

async fn watch(ground: &Ground<'_>, canaries: &Canaries) -> Result<Option<Watch>, StoreError> {
    let failed = |error: tokio_postgres::Error| error::failed(&error);
    let none: Vec<&str> = Vec::new();
    let user = ground.query_one(include_str!("../sql/statements/prove/user.sql"), &[&none]).await?;
    let past: bool = user.try_get(0).map_err(failed)?;
    let tables = canaries.other.rows.keys().map(|name| {
        format!(
            "select to_jsonb(t)::text as row from {} t where organization_id = '{}'",
            ground.table(name),
            canaries.other.organization
        )
    });
    let all = tables.collect::<Vec<_>>().join(" union all ");
    if !past {
        return Ok(None);
    }
    let sql = format!("select md5(string_agg(row, '' order by row)) from ({all}) as rows");
    let before = state(ground, &sql).await?;
    Ok(Some(Watch { sql, before }))
}

async fn changed(ground: &Ground<'_>, watch: Option<&Watch>) -> Result<bool, StoreError> {
    let Some(Watch { sql, before }) = watch else { return Ok(false) };
    Ok(state(ground, sql).await? != *before)
}

async fn state(ground: &Ground<'_>, sql: &str) -> Result<Option<String>, StoreError> {
    let failed = |error: tokio_postgres::Error| error::failed(&error);
    let row = ground.client.query_one(sql, &[]).await.map_err(failed)?;
    row.try_get(0).map_err(failed)
}
