//! Providers under load that are slow, silent, or never end an answer. Calls to other providers are not affected, and
//! each call to these providers ends and is settled once.

use std::time::Duration;
use tollgate::store::admin::BookAdmin;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use super::{
    harness::{Ask, BOTH, Client, DEADLINE, House, RICH, Setup},
    load::{CALM, Load, WELL_IN},
    outages::{bounds, two_gateways},
};

/// How long a provider may say nothing.
const PATIENCE: Duration = Duration::from_secs(6);

/// How a call to such a provider ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    TimedOut,
    BrokenOff,
    Whole,
}

/// All calls to such providers: what each asks for, and how it ends.
fn calls() -> Vec<(End, Ask)> {
    let stream = |number: usize| Ask::of(BOTH[number % 2]).streamed();
    // Not as fast as it can, and few of them: the provider has the same two cores as everybody here.
    let endless = stream(0).mock("endless", true).mock("output-tokens", 10_000).mock("chunks", 10);
    let kinds = [
        (12, End::TimedOut, stream(0).mock("hang", "head")),
        (12, End::BrokenOff, stream(1).mock("hang", "body")),
        (2, End::BrokenOff, endless.mock("chunk-delay-ms", 5)),
        // Slower than anybody likes, and longer than a provider may say nothing, but never silent for so long.
        (12, End::Whole, stream(1).mock("chunks", 16).mock("chunk-delay-ms", 500)),
    ];
    let each = kinds.into_iter().flat_map(|(count, end, ask)| vec![(end, ask); count]);
    each.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn providers_that_are_slow_silent_or_endless_are_in_nobody_elses_way() {
    let mut setup = Setup { head_timeout: PATIENCE, idle_timeout: PATIENCE, ..bounds() };
    setup.server.drain_max = Setup::giving_up().server.drain_max;
    let house = House::with(setup).await;
    let (gateways, program) = two_gateways(&house).await;
    let (org, theirs) = (house.organization(RICH).await, house.organization(RICH).await);
    let load = Load::default();
    let faults = async {
        let begun = Instant::now();
        load.more_whole(CALM).await;
        let normal = load.latencies(begun);
        eprintln!("before: {normal}");
        let asked = Instant::now();
        let asking = calls().into_iter().enumerate().map(async |(number, (end, ask))| {
            let mut client = Client::open(gateways[number % 2]).await;
            client.send(&ask.bytes(&theirs.token)).await;
            let answer = timeout(DEADLINE, client.answer()).await.unwrap().unwrap();
            let ended = match answer.status {
                504 => End::TimedOut,
                200 if answer.ends_in_error() => End::BrokenOff,
                200 if answer.has_end() => End::Whole,
                other => panic!("{other}: {}", answer.text()),
            };
            assert_eq!(ended, end, "{ask:?}");
        });
        join_all(asking).await;
        let over = Instant::now();
        eprintln!("meanwhile, {:?}: {}", over - asked, load.latencies(asked));
        let took = load.well_again(over, &normal).await;
        assert!(took <= WELL_IN, "{took:?}");
    };
    load.during(&gateways, &org, 8, faults).await;
    eprintln!("{}; the longest took {:?}", load.tally(), load.longest());
    assert!(load.tally().ends_with(" 0 withheld, 0 refused"), "{}", load.tally());
    load.is_in_the_books(&house).await;
    // Among what is checked: each was settled once, for no more than it used or was held for, or not at all.
    let rows = house.check().await;
    let theirs = rows.iter().filter(|row| row.organization == theirs.id.as_uuid());
    assert_eq!(theirs.count(), calls().len());
    let books = house.operator.reconcile().await.unwrap();
    assert_eq!((books.expired, books.unbilled_max.nanos()), (0, 0));
    program.close().await;
    house.close().await;
}
