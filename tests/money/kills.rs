//! A gateway that is killed, or paused, at each point of a call: no call is charged twice, no amount is below zero, and
//! the unbilled usage is known and bounded.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};
use tollgate::gateway::config::Credit;
use tollgate::store::admin::BookAdmin;
use uuid::Uuid;

use super::{
    harness::{Ask, BOTH, Client, DEADLINE, House, Org, RICH, Setup, cost, plain_cost, until},
    process::Process,
};

/// One gateway that dies, and one that goes on.
async fn house(credit: Credit) -> (House, Process, Org) {
    let mut house = House::with(Setup { credit, ..Setup::default() }).await;
    house.some_lost = true;
    let doomed = house.start_process().await;
    let org = house.organization(RICH).await;
    (house, doomed, org)
}

async fn send(gateway: &Process, org: &Org, ask: &Ask) -> Client {
    let mut client = Client::open(gateway.address).await;
    client.send(&ask.bytes(&org.token)).await;
    client
}

/// A statement of a gateway waits for what a stranger has locked.
async fn waits(house: &House, what: &str) {
    let sql = format!(
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' \
           and query like '%tollgate.{what}(%'"
    );
    until("a statement waits", async || house.count(&sql).await > 0).await;
}

/// Lets the time of every hold be over. None is waited for: how long one stands has a test of its own.
async fn end_time(house: &House) {
    let over =
        "update tollgate.credit_holds set expires_at = clock_timestamp() where status = 'open'";
    house.admin.batch_execute(over).await.unwrap();
}

/// What all calls came to: what was charged for them, how many have no end, and what was not billed for those at the
/// most, as `reconcile` reports it.
#[derive(Debug, PartialEq, Eq)]
struct Books {
    charged: i64,
    expired: u64,
    unbilled_max: i64,
}

/// The call is over, one way or the other, once nobody renews its hold any more. What the books then say of all calls is
/// what the provider did, neither more nor less than they tell.
async fn over(house: &House, org: &Org) -> Books {
    // A statement that the server has, it goes on with, whoever sent it.
    let busy = "select count(*) from pg_stat_activity
                  where datname = current_database() and usename = 'tollgate_login' and state <> 'idle'";
    until("the server is done with what it was sent", async || house.count(busy).await == 0).await;
    end_time(house).await;
    house.places.sweep().await.unwrap();
    house.check().await;
    let sql = "select request_id, status, amount, charged, debt, used from tollgate.credit_holds";
    let books = house.operator.reconcile().await.unwrap();
    let found = Books {
        charged: books.charged.nanos(),
        expired: books.expired,
        unbilled_max: books.unbilled_max.nanos(),
    };
    let mut all = Books { charged: 0, expired: 0, unbilled_max: 0 };
    for row in house.admin.query(sql, &[]).await.unwrap() {
        let request: Uuid = row.get(0);
        let [amount, charged, debt, heard] = [2, 3, 4, 5].map(|column| row.get::<_, i64>(column));
        let used = cost(&house.mock.served(&request.to_string()));
        assert_eq!(debt, 0, "{request}");
        all.charged += charged;
        match row.get(1) {
            "settled" => assert_eq!(charged, used, "{request}"),
            "expired" => {
                assert_eq!(charged, heard, "{request}: what the last heartbeat said");
                assert!(charged <= used, "{request}: {charged} for {used}");
                // What is not billed is no more than is told of: the rest of its hold.
                assert!(used <= amount, "{request}: {used} of {amount}");
                all.expired += 1;
                all.unbilled_max += amount - charged;
            }
            other => panic!("{request} is {other}"),
        }
    }
    assert_eq!(found, all);
    assert_eq!(house.balance(org).await, (RICH - all.charged, 0, 0));
    all
}

/// The gateway that is left serves the next call.
async fn goes_on(house: House, org: &Org) {
    let before = over(&house, org).await;
    assert_eq!(house.ask(org, &Ask::chat()).await.status, 200);
    let row = house.check().await.pop().unwrap();
    assert_eq!(row.charged, cost(&row.served));
    let expected = Books { charged: before.charged + row.charged, ..before };
    assert_eq!(over(&house, org).await, expected);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_its_hold_stands_a_call_costs_nothing() {
    let (house, doomed, org) = house(Credit::default()).await;
    let stranger = house.stranger().await;
    let lock = format!(
        "begin; select from tollgate.credit_balances where organization_id = '{}' for update",
        org.id
    );
    stranger.batch_execute(&lock).await.unwrap();
    let client = send(&doomed, &org, &Ask::chat()).await;
    waits(&house, "hold").await;
    doomed.kill().await;
    drop(client);
    stranger.batch_execute("rollback").await.unwrap();
    assert_eq!(house.mock.served_total().calls, 0);
    // Its statement may have come to its end, or not.
    let books = over(&house, &org).await;
    assert_eq!((books.charged, books.unbilled_max > 0), (0, books.expired == 1), "{books:?}");
    goes_on(house, &org).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_the_provider_works_a_call_costs_nothing_and_is_reported() {
    let (house, doomed, org) = house(Credit::default()).await;
    let client = send(&doomed, &org, &Ask::chat().mock("latency-ms", 60_000)).await;
    house.reached(1).await;
    let held = house.balance(&org).await.1;
    assert!(held > 0);
    let stands = "select count(*) from tollgate.credit_holds
                    where expires_at between clock_timestamp() and clock_timestamp() + interval '1 minute'";
    assert_eq!(house.count(stands).await, 1, "for as long as credit.hold_ttl says");
    doomed.kill().await;
    drop(client);
    let expected = Books { charged: 0, expired: 1, unbilled_max: held };
    assert_eq!(over(&house, &org).await, expected);
    goes_on(house, &org).await;
}

/// What the books knew of a call at some moment of the database's clock.
#[derive(Clone, Copy, Debug)]
struct Heard {
    request: Uuid,
    /// What its last heartbeat said, in nano-dollars.
    used: i64,
    /// When that was, or when its hold was made.
    at: Duration,
    now: Duration,
}

impl Heard {
    fn ago(&self) -> Duration {
        self.now.saturating_sub(self.at)
    }
}

async fn heard(house: &House, org: &Org, ttl: Duration) -> Heard {
    let sql = "select request_id, used, (extract(epoch from expires_at) * 1000)::bigint, (extract(epoch from clock_timestamp()) * 1000)::bigint
                 from tollgate.credit_holds where organization_id = $1";
    let row = house.admin.query_one(sql, &[&org.id.as_uuid()]).await.unwrap();
    let moment = |column| Duration::from_millis(row.get::<_, i64>(column).try_into().unwrap());
    let at = moment(2).checked_sub(ttl).unwrap();
    Heard { request: row.get(0), used: row.get(1), at, now: moment(3) }
}

/// How long ago the latest of all heartbeats was when it was looked for last.
fn last_ago(beats: &[Vec<Heard>]) -> Duration {
    let ago = beats.iter().filter_map(|beats| beats.last()).map(Heard::ago);
    ago.min().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_of_a_stream_a_call_costs_what_its_last_heartbeat_said_a_quarter_of_its_ttl_ago_at_the_most()
 {
    // Long enough that a busy machine lets no hold expire whose gateway lives.
    let ttl = Duration::from_secs(8);
    let quarter = ttl / 4;
    let chunk = Duration::from_millis(30);
    let (house, doomed, org) = house(Credit { hold_ttl: ttl, ..Credit::default() }).await;
    let orgs = [org, house.organization(RICH).await];
    let mut clients = Vec::new();
    for (org, dialect) in orgs.iter().zip(BOTH) {
        // Each chunk is a token, and what is counted of it here is one as well.
        let ask = Ask::of(dialect).streamed().at_most(1_000).saying("oak");
        let ask = ask.mock("output-tokens", 1_000).mock("chunks", 1_000);
        clients.push(send(&doomed, org, &ask.mock("chunk-delay-ms", chunk.as_millis())).await);
    }
    house.reached(2).await;
    let begun = Instant::now();
    let mut beats: [Vec<Heard>; 2] = Default::default();
    // Not right behind one of them, so that there is something that nobody was told of.
    while beats.iter().any(|beats| beats.len() < 4) || last_ago(&beats) < quarter / 2 {
        for (org, beats) in orgs.iter().zip(&mut beats) {
            let heard = heard(&house, org, ttl).await;
            match beats.last_mut() {
                Some(last) if last.at == heard.at => *last = heard,
                _ => beats.push(heard),
            }
        }
        assert!(begun.elapsed() < DEADLINE, "{beats:?}");
        sleep(Duration::from_millis(5)).await;
    }
    let held = [house.balance(&orgs[0]).await.1, house.balance(&orgs[1]).await.1];
    doomed.kill().await;
    for client in &mut clients {
        client.drain().await;
    }
    for ((org, held), beats) in orgs.iter().zip(held).zip(beats) {
        // Those after the hold itself; one of them may be late where the machine is busy.
        let apart =
            beats[1..].windows(2).map(|pair| pair[1].at.saturating_sub(pair[0].at)).min().unwrap();
        assert!(apart <= quarter * 5 / 4, "{apart:?} between two heartbeats: {beats:?}");
        let last = heard(&house, org, ttl).await;
        let used = cost(&house.mock.served(&last.request.to_string()));
        // As many tokens as can have gone by since, and some that were on their way.
        let since = (last.ago() + quarter / 2).as_millis() / chunk.as_millis();
        let unheard = plain_cost(0, since.try_into().unwrap());
        assert!(last.used <= used && used <= last.used + unheard, "{used}, {last:?}");
        assert!(last.used > beats[1].used, "{last:?}, {beats:?}");
        assert_eq!(house.balance(org).await, (RICH, held, 0));
    }
    end_time(&house).await;
    house.places.sweep().await.unwrap();
    house.check().await;
    let mut unbilled_max = 0;
    for (org, held) in orgs.iter().zip(held) {
        let Heard { used, .. } = heard(&house, org, ttl).await;
        assert_eq!(house.balance(org).await, (RICH - used, 0, 0));
        unbilled_max += held - used;
    }
    let books = house.operator.reconcile().await.unwrap();
    assert_eq!((books.expired, books.unbilled_max.nanos()), (2, unbilled_max));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_the_providers_end_and_the_finish_or_inside_it_a_call_is_paid_once_or_expires()
 {
    let killing = [
        "lock table tollgate.usage in access exclusive mode",
        "select from tollgate.credit_balances for update",
    ]
    .map(async |locked| {
        let (house, doomed, org) = house(Credit::default()).await;
        let warm = send(&doomed, &org, &Ask::chat()).await.answer().await.unwrap();
        assert_eq!(warm.status, 200);
        let paid = house.check().await.pop().unwrap().charged;
        let stranger = house.stranger().await;
        let client = send(&doomed, &org, &Ask::chat().mock("latency-ms", 300)).await;
        house.reached(2).await;
        let held = house.balance(&org).await.1;
        stranger.batch_execute(&format!("begin; {locked}")).await.unwrap();
        waits(&house, "finish").await;
        doomed.kill().await;
        drop(client);
        stranger.batch_execute("rollback").await.unwrap();
        let used = cost(&house.mock.served_total());
        let once = Books { charged: used, expired: 0, unbilled_max: 0 };
        let expired = Books { charged: paid, expired: 1, unbilled_max: held };
        let books = over(&house, &org).await;
        assert!(used > paid && held > 0 && (books == once || books == expired), "{books:?}");
        goes_on(house, &org).await;
    });
    join_all(killing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_was_stopped_for_longer_than_its_holds_stand_settles_late_and_exactly() {
    let (house, sleeper, org) = house(Credit::default()).await;
    let ask = Ask::chat().streamed().at_most(200).mock("output-tokens", 200);
    let ask = ask.mock("chunks", 100).mock("chunk-delay-ms", 20);
    let mut client = send(&sleeper, &org, &ask).await;
    client.read(1_000).await;
    sleeper.signal("STOP");
    end_time(&house).await;
    // The other gateway sees to it that the credits come back.
    let expired = "select count(*) from tollgate.credit_holds where status = 'expired'";
    until("the hold has expired", async || house.count(expired).await == 1).await;
    assert_eq!(house.balance(&org).await.1, 0);
    sleeper.signal("CONT");
    let answer = client.read_to(b"data: [DONE]").await;
    assert!(answer.ends_with(b"data: [DONE]"));
    let rows = house.check().await;
    let row = rows.last().unwrap();
    assert_eq!((row.charged, row.debt), (cost(&row.served), 0), "{row:?}");
    let late = "select count(*) from tollgate.credit_ledger where kind = 'late_settle'";
    assert_eq!(house.count(late).await, 1);
    let books = house.operator.reconcile().await.unwrap();
    assert_eq!((books.expired, books.unbilled_max.nanos()), (0, 0));
    assert_eq!(house.balance(&org).await, (RICH - row.charged, 0, 0));
    sleeper.close().await;
    house.close().await;
}
