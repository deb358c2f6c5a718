//! Clients that call without pause, streams among them, until they are told to stop.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::task::JoinHandle;

use crate::harness::{Ask, BOTH, Client, House, Org, until};

/// How many call at once.
const CLIENTS: usize = 16;

/// The clients of one organization.
pub(crate) struct Crowd {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Answers>>,
}

/// What they got.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answers {
    pub(crate) ok: u64,
    /// Answered with 503, or with an error event at the end of a stream.
    pub(crate) unavailable: u64,
}

impl Crowd {
    /// Clients of this organization, on the house's gateways in turn.
    pub(crate) fn gather(house: &House, org: &Org) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let client = |number: usize| {
            let address = house.gateways[number % house.gateways.len()].address;
            let (stop, answered, org) = (Arc::clone(&stop), Arc::clone(&answered), org.clone());
            tokio::spawn(async move {
                let mut answers = Answers::default();
                let mut turn = number;
                while !stop.load(Ordering::Relaxed) {
                    turn += 1;
                    let mut ask = Ask::of(BOTH[turn % 2]).mock("output-tokens", 3 + turn % 5);
                    if turn.is_multiple_of(3) {
                        // Long enough to begin in one place and end in the next.
                        ask = ask.streamed().mock("chunk-delay-ms", 20 * (turn % 4));
                    }
                    let mut client = Client::open(address).await;
                    client.send(&ask.bytes(&org.token)).await;
                    let answer = client.answer().await.expect("an answer");
                    match answer.status {
                        200 if !ask.stream || answer.has_end() => answers.ok += 1,
                        200 => {
                            assert!(answer.ends_in_error(), "{}", answer.text());
                            answers.unavailable += 1;
                        }
                        503 => answers.unavailable += 1,
                        other => panic!("{other}: {}", answer.text()),
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                answers
            })
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self { stop, answered, clients }
    }

    /// Waits until this many more calls were answered.
    pub(crate) async fn goes_on(&self, calls: u64) {
        let before = self.answered.load(Ordering::Relaxed);
        let more = || self.answered.load(Ordering::Relaxed) >= before + calls;
        until("calls go on", async || more()).await;
    }

    /// Sends the clients home, each after its last answer.
    pub(crate) async fn disperse(self) -> Answers {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Answers::default();
        for client in self.clients {
            let Answers { ok, unavailable } = client.await.unwrap();
            all.ok += ok;
            all.unavailable += unavailable;
        }
        all
    }
}
