//! Tries one statement, and judges its answer.

use futures_util::TryStreamExt;
use tokio_postgres::{Client, SimpleQueryMessage, error::SqlState};

use super::{execute, report::Proof};
use crate::{postgres::error, store::StoreError};

/// The outcome of a statement.
pub(super) enum Answer {
    /// Refused: no right, or no policy that admits it.
    Refused,
    /// Executed: this many rows, or lines of a COPY.
    Rows(u64),
    /// A constraint refused it: the policies had let it through.
    Through,
    /// The claims have no valid seal.
    Unsealed,
    /// Another error, which proves nothing.
    Unclear(String),
}

pub(super) fn judge(
    proof: &mut Proof,
    check: &str,
    table: &str,
    role: &str,
    verb: &str,
    answer: &Answer,
    rows_max: u64,
) {
    match answer {
        Answer::Refused => {}
        Answer::Rows(rows) if *rows <= rows_max => {}
        Answer::Rows(rows) => {
            proof.found(check, table, format!("{role} reaches {rows} rows by {verb}"));
        }
        Answer::Through => {
            proof.found(
                check,
                table,
                format!("{role} gets {verb} past the policies; only a constraint stops it"),
            );
        }
        Answer::Unsealed => {
            proof.found(
                check,
                table,
                format!("{verb} as {role} shows nothing: its seal is refused"),
            );
        }
        Answer::Unclear(why) => {
            proof.found(check, table, format!("{verb} as {role} shows nothing: {why}"));
        }
    }
}

/// Tries one statement after a savepoint and rolls it back, all in one flush.
pub(super) async fn attempt(
    client: &Client,
    sql: &str,
    proof: &mut Proof,
) -> Result<Answer, StoreError> {
    let answer = flushed(client, sql, proof).await?;
    Ok(match answer {
        Ok(messages) => Answer::Rows(rows_of(&messages)),
        Err(error) => refusal(&error)?,
    })
}

async fn flushed(
    client: &Client,
    sql: &str,
    proof: &mut Proof,
) -> Result<Result<Vec<SimpleQueryMessage>, tokio_postgres::Error>, StoreError> {
    proof.probes = proof.probes.saturating_add(1);
    // Polled in this order, hence sent in this order.
    let (before, answer, after) = futures_util::future::join3(
        client.batch_execute("savepoint probe"),
        client.simple_query(sql),
        client.batch_execute("rollback to savepoint probe"),
    )
    .await;
    before.and(after).map_err(|error| error::failed(&error))?;
    Ok(answer)
}

fn rows_of(messages: &[SimpleQueryMessage]) -> u64 {
    let complete = messages.iter().filter_map(|message| {
        if let SimpleQueryMessage::CommandComplete(rows) = message { Some(*rows) } else { None }
    });
    complete.sum()
}

fn refusal(error: &tokio_postgres::Error) -> Result<Answer, StoreError> {
    match error.code() {
        None => Err(error::failed(error)),
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Ok(Answer::Refused),
        Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => Ok(Answer::Unsealed),
        Some(code) if code.code().starts_with("23") => Ok(Answer::Through),
        Some(code) => Ok(Answer::Unclear(format!("SQLSTATE {}", code.code()))),
    }
}

/// Counts the lines of a COPY, or only those that contain `marker`.
pub(super) async fn copied(
    client: &Client,
    sql: &str,
    marker: Option<&str>,
    proof: &mut Proof,
) -> Result<Answer, StoreError> {
    proof.probes = proof.probes.saturating_add(1);
    execute(client, "savepoint probe").await?;
    let copy = async { client.copy_out(sql).await?.try_collect::<Vec<_>>().await };
    let answer = copy.await;
    execute(client, "rollback to savepoint probe").await?;
    Ok(match answer {
        Ok(lines) => {
            let text = lines.concat();
            let text = String::from_utf8_lossy(&text);
            let found = text.lines().filter(|line| marker.is_none_or(|one| line.contains(one)));
            Answer::Rows(u64::try_from(found.count()).unwrap_or(u64::MAX))
        }
        Err(error) => refusal(&error)?,
    })
}

/// Counts the rows that the top node of the plan returned.
pub(super) async fn explained(
    client: &Client,
    sql: &str,
    proof: &mut Proof,
) -> Result<Answer, StoreError> {
    let messages = match flushed(client, sql, proof).await? {
        Ok(messages) => messages,
        Err(error) => return refusal(&error),
    };
    let plan = messages.iter().find_map(|message| {
        if let SimpleQueryMessage::Row(row) = message { row.get(0) } else { None }
    });
    Ok(Answer::Rows(plan.map_or(0, given_by)))
}

/// Reads `Seq Scan on usage (actual rows=2 loops=1)`. Since Postgres 18 it is `rows=2.00`, an average over the loops.
fn given_by(node: &str) -> u64 {
    let Some((_, rows)) = node.split_once("actual rows=") else { return 0 };
    let (rows, _) = rows.split_once(' ').unwrap_or((rows, ""));
    let (whole, fraction) = rows.split_once('.').unwrap_or((rows, ""));
    let some = u64::from(fraction.bytes().any(|digit| digit != b'0'));
    // A number that cannot be read does not prove that there were no rows.
    whole.parse::<u64>().map_or(1, |rows| rows.saturating_add(some))
}

#[cfg(test)]
mod tests {
    use super::given_by;

    #[test]
    fn the_rows_of_a_plan_are_read_as_every_version_prints_them() {
        for (node, rows) in [
            ("Seq Scan on usage (actual rows=0 loops=1)", 0),
            ("Seq Scan on usage (actual rows=12 loops=1)", 12),
            ("Seq Scan on usage (actual rows=0.00 loops=1)", 0),
            ("Seq Scan on usage (actual rows=3.00 loops=1)", 3),
            ("Append (actual rows=0.33 loops=3)", 1),
            ("Result (never executed)", 0),
            ("Seq Scan on usage (actual rows=many loops=1)", 1),
        ] {
            assert_eq!(given_by(node), rows, "{node}");
        }
    }
}
