//! Waits for the transactions that may not have seen that calls are held up.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{MoveError, session::Session};
use crate::{
    postgres::{Query, rows::column},
    store::StoreError,
};

const WRITERS: Query = Query::new(include_str!("../../sql/statements/places/writers.sql"), &[]);

/// Shorter than the ten seconds after which waiting calls are refused.
const WAIT_MAX: Duration = Duration::from_secs(6);
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until every transaction has ended that may have written here without having seen that calls are held up.
///
/// A transaction that writes checks `held_up` after its first write or row lock. By then it has locked a table of the
/// schema, and it keeps that lock until its end. So every transaction that has not seen `held_up` has a table locked
/// now. A snapshot would name more transactions: this waits for none of another schema or database, and for no other
/// move.
pub(super) async fn for_writers(session: &Session) -> Result<(), MoveError> {
    let begun = Instant::now();
    let mut waiting = writers(session).await?;
    while !waiting.is_empty() {
        if begun.elapsed() > WAIT_MAX {
            return Err(MoveError::Writers(waiting.into_values().flatten().collect()));
        }
        tokio::time::sleep(PAUSE).await;
        let still = writers(session).await?;
        waiting.retain(|transaction, _| still.contains_key(transaction));
    }
    Ok(())
}

/// The transactions that have written, with their server processes; a prepared transaction has none.
async fn writers(session: &Session) -> Result<BTreeMap<String, Option<i32>>, StoreError> {
    let rows = session.plain(&WRITERS, &[]).await?;
    rows.iter().map(|row| Ok((column(row, 0)?, column(row, 1)?))).collect()
}
