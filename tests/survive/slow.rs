//! Clients that are slower than the provider.

use futures_util::future::join_all;
use tollgate::domain::policy::{Disconnect, Policy};

use super::{
    harness::{Ask, BOTH, Client, House, RICH, Setup},
    providers::{counted, input_of_begun},
};

/// Each is an event of more than 100 bytes.
const CHUNKS: u64 = 500_000;
/// What kernel and gateway may hold for one client, in events: far less than there are.
const AHEAD_MAX: u64 = 120_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_stops_the_provider_and_nobody_else() {
    let house = House::with(Setup::giving_up()).await;
    let policy = Policy { disconnect: Disconnect::Cancel, ..Policy::default() };
    let org = house.organization_with(100 * RICH, policy).await;
    let endless = BOTH.map(|dialect| {
        let ask = Ask::of(dialect).streamed().at_most(CHUNKS);
        ask.mock("output-tokens", CHUNKS).mock("chunks", CHUNKS)
    });
    let mut slow = Vec::new();
    for ask in &endless {
        let mut client = Client::narrow(house.address()).await;
        client.send(&ask.bytes(&org.token)).await;
        slow.push(client);
    }
    house.reached(2).await;
    let ahead = || house.mock.served_total().output_tokens;
    let mut others = 0;
    // As long as the provider gets ahead, others are served: at some point it must stand still.
    loop {
        let before = ahead();
        for _ in 0..4 {
            join_all((0..5).map(async |_| {
                let answer = house.ask(&org, &Ask::chat().mock("output-tokens", 0)).await;
                assert_eq!(answer.status, 200);
            }))
            .await;
        }
        others += 20;
        assert!(ahead() < 2 * AHEAD_MAX, "{} of {CHUNKS} events for nobody", ahead());
        if ahead() == before {
            break;
        }
    }
    // It goes on where the client does.
    let before = ahead();
    for client in &mut slow {
        let mut read = 0;
        while ahead() == before && read < 64 << 20 {
            read += client.read(64 << 10).await.len();
        }
    }
    assert!(ahead() > before);
    slow.into_iter().for_each(Client::reset);
    let rows = house.check().await;
    assert_eq!(rows.len(), 2 + others);
    // They have paid for some of what was said for them, and not for more.
    let left: Vec<_> = rows.iter().filter(|row| row.ending == "abandoned").collect();
    assert_eq!(left.len(), 2);
    for (row, dialect) in left.into_iter().zip(BOTH) {
        // The mock says ten thousand words at the most, evenly.
        let words = row.served.output_tokens * 10_000 / CHUNKS;
        let input = input_of_begun(dialect, row);
        let bounds = counted(input, 1)..=counted(input, words + 1);
        assert!(bounds.contains(&row.charged), "{bounds:?} {row:?}");
    }
    house.close().await;
}
