//! Until all that did not see the mark has ended.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{MoveError, session::Session};
use crate::{
    postgres::{Statement, rows::column},
    store::StoreError,
};

const WRITERS: Statement =
    Statement::new(include_str!("../../sql/statements/places/writers.sql"), &[]);

/// Calls wait meanwhile, and are refused after ten seconds.
const WAIT_MAX: Duration = Duration::from_secs(6);
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until every transaction has ended that may have written in this place without having seen that calls are held
/// up.
///
/// Whatever writes looks for the mark after its first write or row lock, hence after it has locked a table of the
/// schema, and keeps that lock until its end. So those that did not see the mark are among those that have a table
/// locked now. Not everybody's transactions, as a snapshot would have them: nobody in another schema or database, and
/// no other move, is waited for.
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

/// Transactions, with their processes; a prepared one has none.
async fn writers(session: &Session) -> Result<BTreeMap<String, Option<i32>>, StoreError> {
    let rows = session.plain(&WRITERS, &[]).await?;
    rows.iter().map(|row| Ok((column(row, 0)?, column(row, 1)?))).collect()
}
