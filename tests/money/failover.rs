//! The primary dies, and its synchronous standby takes over. Gateways that know both servers find the new primary by
//! themselves.

use std::{
    fs,
    process::{Command, Stdio},
};

use tokio::time::{Duration, Instant};
use tollgate::postgres::cluster::{Cluster, Options};
use uuid::Uuid;

use super::{
    harness::{House, RICH, until},
    load::{CALM, Load, WELL_IN},
    outages::{bounds, the_books_are_right, two_gateways},
};

const CLIENTS: usize = 16;
/// What no call may take. A primary that falls silent is given up within ten seconds; a busy machine gets as many again.
const LONGEST: Duration = Duration::from_secs(20);

async fn connect(cluster: &Cluster) -> tokio_postgres::Client {
    let connected = cluster.config("postgres").connect(tokio_postgres::NoTls).await;
    let (client, connection) = connected.unwrap();
    // Ends with the client, or with the server.
    tokio::spawn(async move { drop(connection.await) });
    client
}

/// A primary whose commits wait for its standby.
async fn pair() -> (Cluster, Cluster) {
    let primary = Cluster::temporary(Options::ephemeral()).await.unwrap();
    let standby = Cluster::standby_of(&primary).await.unwrap();
    let client = connect(&primary).await;
    client.batch_execute("alter system set synchronous_standby_names = '*'").await.unwrap();
    client.batch_execute("select pg_reload_conf()").await.unwrap();
    let waits = "select count(*) from pg_stat_replication where sync_state = 'sync'";
    until("commits wait for the standby", async || {
        connect(&primary).await.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 1
    })
    .await;
    // Whoever makes them wait has heard of it by now as well.
    client.batch_execute("checkpoint").await.unwrap();
    (primary, standby)
}

/// Lets load go on over a failover: `fail` ends the primary, one way or another.
async fn fail_over(
    primary: &Cluster,
    standby: &Cluster,
    fail: impl AsyncFnOnce(),
    meet_again: impl AsyncFnOnce(&Load),
) {
    let house = House::on_one_of(&[primary, standby], bounds()).await;
    let (gateways, program) = two_gateways(&house).await;
    let org = house.organization(RICH).await;
    let load = Load::default();
    let faults = async {
        let begun = Instant::now();
        load.more_whole(CALM).await;
        let normal = load.latencies(begun);
        eprintln!("before: {normal}");
        fail().await;
        load.more_refused(1).await;
        standby.promote().await.unwrap();
        let promoted = Instant::now();
        let took = load.well_again(promoted, &normal).await;
        assert!(took <= WELL_IN, "{took:?}");
        let client = connect(standby).await;
        let listening =
            "select count(*) from pg_stat_activity where application_name = 'tollgate listen'";
        until("both gateways hear of changes again", async || {
            client.query_one(listening, &[]).await.unwrap().get::<_, i64>(0) == 2
        })
        .await;
        meet_again(&load).await;
    };
    load.during(&gateways, &org, CLIENTS, faults).await;
    eprintln!("{}; the longest took {:?}", load.tally(), load.longest());
    assert!(load.longest() < LONGEST, "{:?}", load.longest());
    // What is looked at now is the standby: the other one is not there any more.
    the_books_are_right(house, program, &[&load]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_before_a_primary_was_killed_is_in_the_books_of_its_successor() {
    let (primary, standby) = pair().await;
    let guard = Frozen(&standby);
    let kill = async || {
        // What it commits now, its standby will never have.
        signal(&standby, "STOP");
        let client = connect(&primary).await;
        let waiting = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'";
        until("finishes wait for the standby", async || {
            client.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) > 0
        })
        .await;
        primary.kill().await.unwrap();
        signal(&standby, "CONT");
    };
    fail_over(&primary, &standby, kill, async |_| {}).await;
    drop(guard);
}

/// Stops all processes of a server where they are, or lets them go on: to others it is as if its machine had hung.
fn signal(cluster: &Cluster, name: &str) {
    let Ok(state) = fs::read_to_string(cluster.postgres_dir().join("postmaster.pid")) else {
        return;
    };
    let first = state.lines().next().unwrap().to_owned();
    let listed = Command::new("ps").args(["-A", "-o", "pid=,ppid="]).stderr(Stdio::null()).output();
    let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
    let children = listed.lines().filter_map(|line| {
        let (process, parent) = line.trim().split_once(char::is_whitespace)?;
        (parent.trim() == first).then(|| process.to_owned())
    });
    let all: Vec<_> = [first.clone()].into_iter().chain(children).collect();
    // One of them may have ended since.
    drop(Command::new("kill").arg(format!("-{name}")).args(all).stderr(Stdio::null()).status());
}

/// A server that stands still stands still no longer: else nobody could end it.
struct Frozen<'a>(&'a Cluster);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        signal(self.0, "CONT");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_falls_silent_is_given_up_and_is_not_gone_back_to_when_it_wakes() {
    let (primary, standby) = pair().await;
    let guard = Frozen(&primary);
    let freeze = async || {
        signal(&primary, "STOP");
        // Those that were being started in that moment.
        signal(&primary, "STOP");
    };
    let wake = async |load: &Load| {
        signal(&primary, "CONT");
        let client = connect(&primary).await;
        // Calls have ids in the order in which they began.
        let awake = Uuid::now_v7();
        // Its successor is away for a moment, and there is nobody else to turn to.
        standby.stop_immediate().await.unwrap();
        load.more_refused(CLIENTS).await;
        standby.restart().await.unwrap();
        load.more_whole(CALM).await;
        // What was on its way when it fell silent may have come in, but nothing that began later.
        let sql = "select count(*) from tollgate.credit_holds where request_id > $1";
        let here: i64 = client.query_one(sql, &[&awake]).await.unwrap().get(0);
        assert_eq!(here, 0, "it is written to again");
        primary.kill().await.unwrap();
    };
    fail_over(&primary, &standby, freeze, wake).await;
    drop(guard);
}
