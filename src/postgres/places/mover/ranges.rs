//! Ranges of a table's rows: read in the old place, written in the new one, and compared.

use futures_util::future::{join_all, try_join_all};
use tokio_postgres::types::Type;

use super::{MoveError, session::Session, tables::Table};
use crate::{
    postgres::{Parameter, Query, rows::column},
    store::StoreError,
};

const KEYS: Query = Query::new(
    include_str!("../../sql/statements/places/move_keys.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT],
);
const MARKS: Query = Query::new(
    include_str!("../../sql/statements/places/move_marks.sql"),
    &[Type::UUID, Type::TEXT_ARRAY, Type::TEXT_ARRAY, Type::TEXT_ARRAY, Type::BOOL_ARRAY],
);
const OUT: Query = Query::new(
    include_str!("../../sql/statements/places/move_out.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT, Type::TEXT, Type::INT4, Type::INT8],
);
const IN: Query = Query::new(
    include_str!("../../sql/statements/places/move_in.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT_ARRAY],
);
const CLEAR: Query = Query::new(
    include_str!("../../sql/statements/places/move_clear.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT, Type::TEXT],
);

/// The bounds of one batch of rows.
const BATCH_ROWS: i32 = 1_000;
const BATCH_BYTES: i64 = 4 * 1024 * 1024;
/// How many ranges are copied at a time.
const RANGES_AT_ONCE: usize = 8;

/// The rows of a table after one key and up to another. Keys are texts that the database wrote; `None` is no bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range<'t> {
    pub(super) table: &'t Table,
    pub(super) after: Option<String>,
    pub(super) until: Option<String>,
}

/// What is compared of a range: the number of its rows, and the sum of their hashes if the rows were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) rows: i64,
    hashes: String,
}

impl<'t> Range<'t> {
    /// All rows of a table.
    pub(super) const fn whole(table: &'t Table) -> Self {
        Self { table, after: None, until: None }
    }
}

/// Cuts the rows that are after a key now into ranges.
pub(super) async fn cut<'t>(
    session: &Session,
    table: &'t Table,
    mut after: Option<String>,
) -> Result<Vec<Range<'t>>, StoreError> {
    let parameters: [Parameter<'_>; 3] = [&session.id().as_uuid(), &table.name, &after];
    let mut ranges = Vec::new();
    for row in session.run(&KEYS, &parameters).await? {
        let until: Option<String> = Some(column(&row, 0)?);
        ranges.push(Range { table, after: after.take(), until: until.clone() });
        after = until;
    }
    Ok(ranges)
}

/// The marks of these ranges, in the transaction that is open. The flag says whether the rows of a range are read.
pub(super) async fn marks(
    session: &Session,
    ranges: &[(&Range<'_>, bool)],
) -> Result<Vec<Mark>, StoreError> {
    let tables: Vec<_> = ranges.iter().map(|(range, _)| range.table.name.as_str()).collect();
    let after: Vec<_> = ranges.iter().map(|(range, _)| range.after.as_deref()).collect();
    let until: Vec<_> = ranges.iter().map(|(range, _)| range.until.as_deref()).collect();
    let read: Vec<_> = ranges.iter().map(|(_, read)| *read).collect();
    let parameters: [Parameter<'_>; 5] = [&session.id().as_uuid(), &tables, &after, &until, &read];
    let rows = session.within(&MARKS, &parameters).await?;
    rows.iter().map(|row| Ok(Mark { rows: column(row, 0)?, hashes: column(row, 1)? })).collect()
}

/// Replaces these ranges of `to` with those of `from`, in this order, in the transactions that are open. Returns how
/// many rows they have.
pub(super) async fn copy(
    from: &Session,
    to: &Session,
    ranges: &[&Range<'_>],
) -> Result<i64, MoveError> {
    let mut copied: i64 = 0;
    for some in ranges.chunks(RANGES_AT_ONCE) {
        // Polled in order, hence sent in order: the answers are waited for together.
        let read = try_join_all(some.iter().map(|range| read(from, range, range.after.as_deref())));
        let read = read.await?;
        let written = some.iter().zip(&read).map(|(range, batch)| async move {
            let (cleared, written) =
                futures_util::future::join(clear(to, range), write(to, range, batch)).await;
            cleared.and(written)
        });
        for written in join_all(written).await {
            copied = copied.saturating_add(written?);
        }
        for (range, mut batch) in some.iter().zip(read) {
            while let Some(after) = batch.more {
                batch = self::read(from, range, Some(&after)).await?;
                copied = copied.saturating_add(write(to, range, &batch).await?);
            }
        }
    }
    Ok(copied)
}

/// Rows as text, and the key of the last one if more rows follow it.
struct Batch {
    lines: Vec<String>,
    more: Option<String>,
}

async fn read(
    session: &Session,
    range: &Range<'_>,
    after: Option<&str>,
) -> Result<Batch, StoreError> {
    let Range { table, until, .. } = range;
    let parameters: [Parameter<'_>; 6] =
        [&session.id().as_uuid(), &table.name, &after, until, &BATCH_ROWS, &BATCH_BYTES];
    let rows = session.within(&OUT, &parameters).await?;
    let lines = rows.iter().map(|row| column(row, 1)).collect::<Result<Vec<String>, _>>()?;
    let bytes = lines.iter().fold(0_usize, |sum, line| sum.saturating_add(line.len()));
    let full = i32::try_from(lines.len()).is_ok_and(|lines| lines >= BATCH_ROWS)
        || i64::try_from(bytes).is_ok_and(|bytes| bytes >= BATCH_BYTES);
    let more = rows.last().filter(|_| full).map(|row| column(row, 0)).transpose()?;
    Ok(Batch { lines, more })
}

async fn write(session: &Session, range: &Range<'_>, batch: &Batch) -> Result<i64, StoreError> {
    if batch.lines.is_empty() {
        return Ok(0);
    }
    let parameters: [Parameter<'_>; 3] = [&session.id().as_uuid(), &range.table.name, &batch.lines];
    let rows = session.within(&IN, &parameters).await?;
    rows.first().map_or(Ok(0), |row| column(row, 0))
}

/// Deletes a range in the transaction that is open. Returns how many rows it had.
pub(super) async fn clear(session: &Session, range: &Range<'_>) -> Result<i64, StoreError> {
    let Range { table, after, until } = range;
    let parameters: [Parameter<'_>; 4] = [&session.id().as_uuid(), &table.name, after, until];
    let rows = session.within(&CLEAR, &parameters).await?;
    rows.first().map_or(Ok(0), |row| column(row, 0))
}
