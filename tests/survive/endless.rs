//! Providers whose answers never end, or end only after the hold of the call has expired.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;
use tollgate::{domain::dialect::Dialect, gateway::config::Credit};

use super::{
    harness::{Ask, BOTH, House, RICH, Setup, cost},
    providers::{counted, input_of_begun, words},
};

/// Output tokens beyond which nobody believes that a call may have them: twice what its model writes, and something.
const BELIEVED: u64 = 2 * 1_000 + 16_384;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_without_an_end_is_cut_and_paid_as_far_as_it_came() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    for dialect in BOTH {
        // A word in each event, whatever the cap: each is a token at least.
        let thin = Ask::of(dialect).streamed().mock("endless", true);
        let thin = thin.mock("output-tokens", 100).mock("chunks", 100);
        // Five hundred in each event: no token is longer than 128 bytes.
        let fat = Ask::of(dialect).streamed().mock("endless", true);
        let fat = fat.mock("output-tokens", 10_000).mock("chunks", 20);
        let thin = (thin, BELIEVED + 1);
        let fat = (fat, 500 * (128 * (BELIEVED + 1) + 1).div_ceil(500 * 7));
        // One for a client that reads, one for a client that has left.
        let ((read, read_words), (left, left_words)) = match dialect {
            Dialect::OpenAi => (thin, fat),
            Dialect::Anthropic => (fat, thin),
        };

        let answer = house.ask(&org, &read).await;
        assert!(answer.status == 200 && answer.ends_in_error() && !answer.has_end());
        assert_eq!(words(&answer), read_words);
        let row = house.check().await.pop().unwrap();
        assert_eq!((row.ending.as_str(), row.estimated, row.debt), ("failed", true, 0), "{row:?}");
        assert_eq!(row.charged, counted(input_of_begun(dialect, &row), read_words), "{row:?}");

        // Nobody is there to whom it could be sent: what is read on is cut as well.
        let mut client = house.client().await;
        client.send(&left.bytes(&org.token)).await;
        client.read_to(b"walnut").await;
        client.reset();
        let row = house.check().await.pop().unwrap();
        let ended = (row.ending.as_str(), row.estimated, row.debt);
        assert_eq!(ended, ("abandoned", true, 0), "{row:?}");
        assert_eq!(row.charged, counted(input_of_begun(dialect, &row), left_words), "{row:?}");
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_slower_than_its_hold_stands_is_settled_once_and_not_too_late() {
    let credit = Credit { hold_ttl: Duration::from_secs(3), ..Credit::default() };
    let house = House::with(Setup { credit, ..Setup::default() }).await;
    let org = house.organization(RICH).await;
    let slow = BOTH.map(|dialect| {
        let ask = Ask::of(dialect).streamed().mock("chunks", 2).mock("chunk-delay-ms", 2_000);
        let (house, org) = (&house, &org);
        async move { assert!(house.ask(org, &ask).await.has_end()) }
    });
    // Holds that are not told of any more would be found.
    let sweeping = async {
        loop {
            assert_eq!(house.places.sweep().await.unwrap(), 0, "a hold has expired");
            sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        _ = join_all(slow) => {}
        () = sweeping => {}
    }
    let rows = house.check().await;
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.charged == cost(&row.served) && !row.estimated), "{rows:?}");
    let others =
        "select count(*) from tollgate.credit_ledger where kind not in ('grant', 'hold', 'settle')";
    assert_eq!(house.count(others).await, 0);
    house.close().await;
}
