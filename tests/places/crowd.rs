//! Clients that call without pause, streams among them, until they are told to stop.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::task::JoinHandle;

use super::harness::{Ask, BOTH, Client, House, Org, until};

/// How many call at once.
const CLIENTS: usize = 8;
/// How long the provider takes. Without it, calls would leave no processor to those who move, and thousands of rows.
const LATENCY_MS: usize = 25;

/// The clients of one organization.
pub(crate) struct Crowd {
    stop: Arc<AtomicBool>,
    counted: Arc<Counted>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Counted {
    ok: AtomicU64,
    unavailable: AtomicU64,
}

/// What they got.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answers {
    /// Answered with 200, to the end.
    pub(crate) ok: u64,
    /// Answered with 503, or with an error event at the end of a stream.
    pub(crate) unavailable: u64,
}

impl Crowd {
    /// Clients of this organization, on the house's gateways in turn.
    pub(crate) fn gather(house: &House, org: &Org) -> Self {
        let (stop, counted) = (Arc::<AtomicBool>::default(), Arc::<Counted>::default());
        let client = |number: usize| {
            let address = house.gateways[number % house.gateways.len()].address;
            let (stop, counted, org) = (Arc::clone(&stop), Arc::clone(&counted), org.clone());
            tokio::spawn(async move {
                let mut turn = number;
                while !stop.load(Ordering::Relaxed) {
                    turn += 1;
                    let mut ask = Ask::of(BOTH[turn % 2])
                        .mock("output-tokens", 3 + turn % 5)
                        .mock("latency-ms", LATENCY_MS);
                    if turn.is_multiple_of(3) {
                        // Long enough to begin in one place and end in the next.
                        ask = ask.streamed().mock("chunk-delay-ms", 20 * (turn % 4));
                    }
                    let mut client = Client::open(address).await;
                    client.send(&ask.bytes(&org.token)).await;
                    let answer = client.answer().await.expect("an answer");
                    let one = match answer.status {
                        200 if !ask.stream || answer.has_end() => &counted.ok,
                        200 => {
                            assert!(answer.ends_in_error(), "{}", answer.text());
                            &counted.unavailable
                        }
                        503 => &counted.unavailable,
                        other => panic!("{other}: {}", answer.text()),
                    };
                    one.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self { stop, counted, clients }
    }

    /// What they got so far.
    pub(crate) fn answers(&self) -> Answers {
        let [ok, unavailable] = [&self.counted.ok, &self.counted.unavailable]
            .map(|counted| counted.load(Ordering::Relaxed));
        Answers { ok, unavailable }
    }

    /// Waits until this many more calls were answered with 200.
    pub(crate) async fn goes_on(&self, calls: u64) {
        let before = self.answers().ok;
        until("calls go on", async || self.answers().ok >= before + calls).await;
    }

    /// Sends the clients home, each after its last answer.
    pub(crate) async fn disperse(self) -> Answers {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
        let [ok, unavailable] = [&self.counted.ok, &self.counted.unavailable]
            .map(|counted| counted.load(Ordering::Relaxed));
        Answers { ok, unavailable }
    }
}
