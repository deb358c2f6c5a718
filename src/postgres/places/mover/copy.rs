//! Copies what an organization has from one place to another: most of it while calls go on, the rest of it while
//! they wait.
//!
//! Before calls are held up, tables that may be long are copied range by range, each in a transaction of its own;
//! ranges that are there already are left. Afterwards every range is compared with what was found then: by its rows,
//! or, where a row that is there can never change, by their number. What differs is copied again, in the one
//! transaction in which everything else is, and compared there.

use futures_util::future::{try_join, try_join_all};

use super::{
    Copied, MoveError,
    ranges::{self, Mark, Range},
    session::Session,
    tables::{self, Table},
};
use crate::store::StoreError;

/// How often what has come meanwhile is copied before calls are held up.
const PASSES_MAX: usize = 8;
const DEFER: &str = include_str!("../../sql/statements/places/defer.sql");

/// A copy that is being made.
pub(super) struct Copy<'a> {
    from: &'a Session,
    to: &'a Session,
    /// In the order in which they are filled.
    tables: &'a [Table],
    ahead: Vec<Ahead<'a>>,
}

/// What was copied of a table while calls went on.
struct Ahead<'a> {
    table: &'a Table,
    /// Range by range, and what each was in both places, if it was the same.
    ranges: Vec<(Range<'a>, Option<Mark>)>,
    /// What is behind them: what came since, and what was left in the other place beyond the last row.
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

    /// Copies what may be long, while calls go on; then what has come meanwhile, until that is little.
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
            // What has changed meanwhile is copied with the rest.
            *same = both(self.from, self.to, self.compare(&[range])).await?.pop().flatten();
        }
        Ok(cut.into_iter().zip(same).collect())
    }

    /// Copies the rest, when nothing is written any more, and compares everything. Nothing is left of it unless all
    /// is the same.
    pub(super) async fn rest(&self) -> Result<Copied, MoveError> {
        both(self.from, self.to, self.rest_within()).await
    }

    async fn rest_within(&self) -> Result<Copied, MoveError> {
        self.to.execute(DEFER).await?;
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
        // In the order in which tables are filled, which is that of `late`, and of no matter for the others.
        copied.rows_held_up = ranges::copy(self.from, self.to, &again).await?;
        let compared = self.compare(&again).await?;
        match again.iter().zip(compared).find(|(_, same)| same.is_none()) {
            Some((range, _)) => Err(MoveError::Differs(range.table.name.clone())),
            None => Ok(copied),
        }
    }

    /// How many rows a table has that was copied ahead, and which ranges of it are no longer what they were then.
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
            // As many as there were are those that there were. So it mostly is.
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

    /// What each range is, by its rows, where it is the same in both places, in the transactions that are open.
    async fn compare(&self, ranges: &[&Range<'_>]) -> Result<Vec<Option<Mark>>, MoveError> {
        let read: Vec<_> = ranges.iter().map(|range| (*range, true)).collect();
        let (from, to) =
            try_join(ranges::marks(self.from, &read), ranges::marks(self.to, &read)).await?;
        Ok(from.into_iter().zip(to).map(|(from, to)| (from == to).then_some(from)).collect())
    }
}

/// Removes everything that an organization has in a place, but its own row: what may be long range by range.
pub(super) async fn empty(session: &Session) -> Result<(), MoveError> {
    let tables = tables::of(session).await?;
    for table in tables.iter().filter(|table| table.alone) {
        for range in ranges::cut(session, table, None).await? {
            ended(session, ranges::clear(session, &range)).await?;
        }
    }
    let rest = async {
        session.execute(DEFER).await?;
        for table in tables.iter().rev() {
            ranges::clear(session, &Range::whole(table)).await?;
        }
        Ok::<_, StoreError>(())
    };
    ended(session, rest).await
}

/// In a transaction of each: what is written in `to` stays if all goes well.
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

/// In a transaction, which stays if all goes well.
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
