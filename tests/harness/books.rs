//! The checker: after every case, compares the gateway's books, in every place, with the provider's own count.

use std::{collections::HashMap, sync::Arc};

use tokio_postgres::Client;
use tollgate::{
    domain::usage::Usage,
    postgres::{Schema, migrate},
    provider::mock::Served,
    store::admin::{BookAdmin, Reconciliation},
};
use uuid::Uuid;

use super::{
    House,
    bounds::{self, Kept},
    cost,
    house::connect,
    until,
};

const ROWS: &str = "\
    select u.organization_id, u.request_id, u.ending, u.status, u.estimated, u.clamped, u.cost,
           coalesce(h.charged, 0), coalesce(h.debt, 0), coalesce(h.amount, 0), coalesce(h.status, ''), u.stream,
           u.input_tokens, u.cached_read_tokens, u.cache_write_5m_tokens, u.cache_write_1h_tokens, u.output_tokens, u.reasoning_tokens,
           (select count(*) from tollgate.audit_events a
              where a.organization_id = u.organization_id and a.request_id = u.request_id)
      from tollgate.usage u left join tollgate.credit_holds h using (organization_id, request_id)";
/// Requests whose hold ended twice.
const ENDED_TWICE: &str = "\
    select count(*) from (
      select from tollgate.credit_ledger where kind not in ('hold', 'grant', 'expire')
        group by organization_id, request_id having count(*) > 1) twice";
const EVENTS: &str = "select count(*) from tollgate.audit_events";
/// Holds that ran out of time and whose calls have not ended: what was charged, is owed, was held, and what the last
/// heartbeat had said.
const EXPIRED: &str = "\
    select request_id, charged, debt, amount, used from tollgate.credit_holds where status = 'expired'";
/// What was kept of calls whose usage is not the provider's own word.
const KEPT: &str = "\
    select request_id, coalesce(request, ''), coalesce(response, ''), truncated
      from tollgate.audit_events where estimated or cost = 0";
const HOLDS_OPEN: &str = "select count(*) from tollgate.credit_holds where status = 'open'";

/// One call in the books.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a column")]
pub(crate) struct Row {
    pub(crate) organization: Uuid,
    pub(crate) request: Uuid,
    pub(crate) ending: String,
    pub(crate) status: i32,
    pub(crate) estimated: bool,
    pub(crate) clamped: bool,
    /// What it was charged, and what it still owes.
    pub(crate) charged: i64,
    pub(crate) debt: i64,
    pub(crate) held: i64,
    pub(crate) released: bool,
    pub(crate) stream: bool,
    /// What it used, as it was charged.
    pub(crate) usage: Usage,
    /// What the provider did for it.
    pub(crate) served: Served,
}

impl House {
    /// All calls in the books, in the order of their arrival.
    pub(crate) async fn rows(&self) -> Vec<Row> {
        let mut found = Vec::new();
        for row in self.everywhere(ROWS).await {
            let request: Uuid = row.get(1);
            let read = Row {
                organization: row.get(0),
                request,
                ending: row.get(2),
                status: row.get(3),
                estimated: row.get(4),
                clamped: row.get(5),
                charged: row.get(7),
                debt: row.get(8),
                held: row.get(9),
                released: row.get::<_, &str>(10) == "released",
                stream: row.get(11),
                usage: usage(&row, 12),
                served: self.mock.served(&request.to_string()),
            };
            assert_eq!(row.get::<_, i64>(18), 1, "one audit event a call: {read:?}");
            assert_eq!(row.get::<_, i64>(6), read.charged + read.debt, "cost: {read:?}");
            found.push(read);
        }
        // Ids are in the order of arrival.
        found.sort_by_key(|row| row.request);
        found
    }

    /// The rows of a query in all places together.
    async fn everywhere(&self, query: &str) -> Vec<tokio_postgres::Row> {
        let mut rows = Vec::new();
        for (client, schema) in self.all_places().await {
            let query = query.replace("tollgate.", &format!("{schema}."));
            rows.extend(client.query(&query, &[]).await.unwrap());
        }
        rows
    }

    /// The schemas that there are, in all databases.
    async fn all_places(&self) -> Vec<(Arc<Client>, Schema)> {
        let mut places = vec![(Arc::clone(&self.admin), Schema::SHARED)];
        for schema in migrate::own_schemas(&self.database).await.unwrap() {
            places.push((Arc::clone(&self.admin), schema));
        }
        for (_, further) in &self.setup.placements {
            places.push((Arc::new(connect(further).await), Schema::SHARED));
        }
        places
    }

    /// A number that all places come to together.
    async fn sum(&self, query: &str) -> i64 {
        self.everywhere(query).await.iter().map(|row| row.get::<_, i64>(0)).sum()
    }

    /// Waits until all calls have ended, then holds the books against the provider's count.
    pub(crate) async fn check(&self) -> Vec<Row> {
        until("no call is open, and each that was served has its row", async || {
            self.sum(HOLDS_OPEN).await == 0 && {
                let rows = self.rows().await;
                let written: u64 = rows.iter().map(|row| row.served.calls).sum();
                written == self.mock.served_total().calls || self.some_lost
            }
        })
        .await;
        let rows = self.rows().await;
        let kept = self.kept().await;
        for row in &rows {
            let served = row.served.calls;
            assert!(served == 1 || (served == 0 && self.some_unserved), "reached once: {row:?}");
            bounds::hold_for(row, kept.get(&row.request));
        }
        let events = self.sum(EVENTS).await;
        assert_eq!(events, i64::try_from(rows.len()).unwrap(), "audit events without a usage row");
        assert_eq!(self.sum(ENDED_TWICE).await, 0, "a hold ended twice");
        let books = self.operator.reconcile().await.unwrap();
        assert!(books.broken.is_empty(), "{:?}", books.broken);
        assert_eq!((books.holds_open, books.balance.held.nanos()), (0, 0));
        let charged: i64 = rows.iter().map(|row| row.charged).sum();
        let expired = self.check_expired(&books).await;
        assert_eq!(books.charged.nanos(), charged + expired, "the ledger against the calls");
        rows
    }

    /// What calls that nobody ended were charged: what a heartbeat had told of them, and no more. What they used beyond
    /// it is within what `reconcile` reports.
    async fn check_expired(&self, books: &Reconciliation) -> i64 {
        let (mut expired, mut unbilled, mut calls) = (0, 0, 0);
        for row in self.everywhere(EXPIRED).await {
            let request: Uuid = row.get(0);
            let [charged, debt, held, told] = [1, 2, 3, 4].map(|index| row.get::<_, i64>(index));
            let served = self.mock.served(&request.to_string());
            assert_eq!(charged + debt, told, "{request}: what its last heartbeat said");
            assert!(served.calls == 1 || told == 0, "{request}: paid, and never served");
            // Whoever left before the provider was reached has its hold given back.
            assert!(self.some_lost || served.calls == 0, "{request}: a call has no end");
            assert!(told <= held, "{request}: {told} of {held}");
            assert!(cost(&served) <= held, "{request}: {served:?} is more than may be unbilled");
            (expired, unbilled, calls) = (expired + charged, unbilled + held - charged, calls + 1);
        }
        assert_eq!((books.expired, books.unbilled_max.nanos()), (calls, unbilled));
        expired
    }

    /// What was kept, by its call.
    async fn kept(&self) -> HashMap<Uuid, Kept> {
        let kept = self.everywhere(KEPT).await;
        let read = |row: &tokio_postgres::Row| Kept {
            request: row.get(1),
            response: row.get(2),
            truncated: row.get(3),
        };
        kept.iter().map(|row| (row.get(0), read(row))).collect()
    }

    /// A hold whose acknowledgement was lost stands until it expires: makes all expire, once each call that was served
    /// has its row.
    pub(crate) async fn pass_time(&self) {
        until("every call that was served is written", async || {
            let rows = self.rows().await;
            rows.iter().map(|row| row.served.calls).sum::<u64>() == self.mock.served_total().calls
        })
        .await;
        self.admin
            .batch_execute("update tollgate.credit_holds set expires_at = now()")
            .await
            .unwrap();
        self.places.sweep().await.unwrap();
    }

    pub(crate) async fn count(&self, query: &str) -> i64 {
        self.admin.query_one(query, &[]).await.unwrap().get(0)
    }

    /// Waits until the provider has been reached by this many calls.
    pub(crate) async fn reached(&self, calls: u64) {
        until("the provider has been reached", async || self.mock.served_total().calls >= calls)
            .await;
    }
}

/// Six columns from this one on.
fn usage(row: &tokio_postgres::Row, first: usize) -> Usage {
    let tokens = |index| u64::try_from(row.get::<_, i64>(first + index)).unwrap();
    Usage {
        input: tokens(0),
        cached_read: tokens(1),
        cache_write_5m: tokens(2),
        cache_write_1h: tokens(3),
        output: tokens(4),
        reasoning: tokens(5),
    }
}
