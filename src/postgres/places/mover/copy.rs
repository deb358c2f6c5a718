//! Copies an organization's rows from one place to another: most of them while calls go on, the rest while calls wait.
//!
//! Before calls are held up, tables that may be long are copied range by range, each range in a transaction of its own.
//! Ranges that both places have alike are left. Once calls are held up, every range is compared with what it was then:
//! by its rows, or, if rows of the table never change, by their number. Ranges that differ are copied again and
//! compared, in the same transaction as all other tables.

use futures_util::future::{try_join, try_join_all};

use super::{
    Copied, MoveError,
    ranges::{self, Mark, Range},
    session::Session,
    tables::{self, Table},
};
use crate::store::StoreError;

/// How often the rows that have come meanwhile are copied before calls are held up.
const PASSES_MAX: usize = 8;

/// A copy that is being made.
pub(super) struct Copy<'a> {
    from: &'a Session,
    to: &'a Session,
    /// In the order in which they are filled.
    tables: &'a [Table],
    ahead: Vec<Ahead<'a>>,
}

/// The part of a table that was copied while calls went on.
struct Ahead<'a> {
    table: &'a Table,
    /// The ranges, each with its mark if both places had the same one.
    ranges: Vec<(Range<'a>, Option<Mark>)>,
    /// The range after the others: rows that have come since, and old rows of the new place after the last key.
    rest: Range<'a>,
}

/// The tables of two places, which must be the same.
pub(super) async fn tables(from: &Session, to: &Session) -> Result<Vec<Table>, MoveError> {
    let (tables, others) = try_join(tables::of(from), tables::of(to)).await?;
    if tables == others { Ok(tables) } else { Err(MoveError::OtherTables) }
}

impl<'a> Copy<'a> {
    /// A copy between these places, which have these tables.
    pub(super) const fn new(from: &'a Session, to: &'a Session, tables: &'a [Table]) -> Self {
        Self { from, to, tables, ahead: Vec::new() }
    }

    /// Copies long tables while calls go on, then the rows that have come meanwhile, until there are few.
    pub(super) async fn ahead(&mut self) -> Result<(), MoveError> {
        for table in self.tables.iter().filter(|table| table.alone) {
            let mut ahead = Ahead { table, ranges: Vec::new(), rest: Range::whole(table) };
            for _ in 0..PASSES_MAX {
                let cut = ranges::cut(self.from, table, ahead.rest.after.clone()).await?;
                let much = cut.len() > 1;
                if let Some(last) = cut.last() {
                    ahead.rest.after.clone_from(&last.until);
                }
                ahead.ranges.extend(self.copy_ahead(cut).await?);
                if !much {
                    break;
                }
            }
            self.ahead.push(ahead);
        }
        Ok(())
    }

    async fn copy_ahead(
        &self,
        cut: Vec<Range<'a>>,
    ) -> Result<Vec<(Range<'a>, Option<Mark>)>, MoveError> {
        let all: Vec<_> = cut.iter().collect();
        let mut same = both(self.from, self.to, self.compare(&all)).await?;
        for (range, same) in cut.iter().zip(&mut same).filter(|(_, same)| same.is_none()) {
            let copied = async { ranges::copy(self.from, self.to, &[range]).await };
            both(self.from, self.to, copied).await?;
            // A range that has changed meanwhile is copied again with the rest.
            *same = both(self.from, self.to, self.compare(&[range])).await?.pop().flatten();
        }
        Ok(cut.into_iter().zip(same).collect())
    }

    /// Copies the rest, when nothing is written any more, and compares everything. If anything differs, the copy of the
    /// rest is rolled back.
    pub(super) async fn rest(&self) -> Result<Copied, MoveError> {
        both(self.from, self.to, self.rest_within()).await
    }

    async fn rest_within(&self) -> Result<Copied, MoveError> {
        let late: Vec<_> =
            self.tables.iter().filter(|table| !table.alone).map(Range::whole).collect();
        let left: Vec<_> = late.iter().map(|range| (range, false)).collect();
        let left = ranges::marks(self.to, &left).await?;
        for (range, _) in late.iter().zip(&left).rev().filter(|(_, left)| left.rows > 0) {
            ranges::clear(self.to, range).await?;
        }
        let mut copied = Copied::default();
        let mut again = Vec::new();
        let changed = try_join_all(self.ahead.iter().map(|one| self.changed(one))).await?;
        for (one, (rows, changed)) in self.ahead.iter().zip(changed) {
            copied.rows.insert(one.table.name.clone(), rows);
            again.extend(changed);
        }
        let now: Vec<_> = late.iter().map(|range| (range, false)).collect();
        for (range, now) in late.iter().zip(ranges::marks(self.from, &now).await?) {
            copied.rows.insert(range.table.name.clone(), now.rows);
            if now.rows > 0 {
                again.push(range);
            }
        }
        // `late` is in the order in which tables are filled. For the tables copied ahead, the order does not matter.
        copied.rows_held_up = ranges::copy(self.from, self.to, &again).await?;
        let compared = self.compare(&again).await?;
        match again.iter().zip(compared).find(|(_, same)| same.is_none()) {
            Some((range, _)) => Err(MoveError::Differs(range.table.name.clone())),
            None => Ok(copied),
        }
    }

    /// For a table that was copied ahead: how many rows it has, and which of its ranges have changed since.
    async fn changed<'s>(
        &'s self,
        ahead: &'s Ahead<'a>,
    ) -> Result<(i64, Vec<&'s Range<'a>>), StoreError> {
        let Ahead { table, ranges, rest } = ahead;
        let mut again = vec![rest];
        if table.append_only
            && let Some(found) =
                ranges.iter().map(|(_, found)| found.as_ref()).collect::<Option<Vec<_>>>()
        {
            // Rows are only added, so the same number means the same rows. One count is enough in most cases.
            let all = Range { until: rest.after.clone(), ..Range::whole(table) };
            let now = ranges::marks(self.from, &[(&all, false), (rest, false)]).await?;
            let rows = |mark: Option<&Mark>| mark.map_or(0, |mark| mark.rows);
            let before = found.iter().fold(0_i64, |sum, found| sum.saturating_add(found.rows));
            if rest.after.is_none() || rows(now.first()) == before {
                return Ok((before.saturating_add(rows(now.get(1))), again));
            }
        }
        let mut asked: Vec<_> =
            ranges.iter().map(|(range, _)| (range, !table.append_only)).collect();
        asked.push((rest, false));
        let now = ranges::marks(self.from, &asked).await?;
        for ((range, found), now) in ranges.iter().zip(&now) {
            let same = found.as_ref().is_some_and(|found| {
                if table.append_only { found.rows == now.rows } else { found == now }
            });
            if !same {
                again.push(range);
            }
        }
        Ok((now.iter().fold(0, |sum, now| sum.saturating_add(now.rows)), again))
    }

    /// The mark of each range if it is the same in both places. Reads all rows, in the transactions that are open.
    async fn compare(&self, ranges: &[&Range<'_>]) -> Result<Vec<Option<Mark>>, MoveError> {
        let read: Vec<_> = ranges.iter().map(|range| (*range, true)).collect();
        let (from, to) =
            try_join(ranges::marks(self.from, &read), ranges::marks(self.to, &read)).await?;
        Ok(from.into_iter().zip(to).map(|(from, to)| (from == to).then_some(from)).collect())
    }
}

/// Deletes all rows of an organization in a place, except its row in `organizations`. Long tables range by range.
pub(super) async fn empty(session: &Session) -> Result<(), MoveError> {
    let tables = tables::of(session).await?;
    for table in tables.iter().filter(|table| table.alone) {
        for range in ranges::cut(session, table, None).await? {
            ended(session, ranges::clear(session, &range)).await?;
        }
    }
    let rest = async {
        for table in tables.iter().rev() {
            ranges::clear(session, &Range::whole(table)).await?;
        }
        Ok::<_, StoreError>(())
    };
    ended(session, rest).await
}

/// Does the work in a transaction on each side. Only the one on `to` writes; it is committed if the work succeeds.
async fn both<T>(
    from: &Session,
    to: &Session,
    work: impl Future<Output = Result<T, MoveError>>,
) -> Result<T, MoveError> {
    from.begin().await?;
    let outcome = ended(to, work).await;
    from.rollback().await;
    outcome
}

/// Does the work in a transaction, which is committed if the work succeeds.
async fn ended<T, E>(
    session: &Session,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, MoveError>
where
    MoveError: From<E>,
{
    session.begin().await?;
    match work.await {
        Ok(outcome) => {
            session.commit().await?;
            Ok(outcome)
        }
        Err(error) => {
            session.rollback().await;
            Err(error.into())
        }
    }
}
