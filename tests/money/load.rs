//! Clients that call without pause whatever happens around the gateways, and the answers they got, with times.

use std::{
    collections::HashSet,
    fmt,
    net::SocketAddr,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use futures_util::future::join_all;
use tokio::time::{Duration, Instant, sleep};
use uuid::Uuid;

use super::harness::{Ask, BOTH, Client, House, Org, until};

/// After a refusal, as clients do; far shorter than they are asked to wait.
const PAUSE: Duration = Duration::from_millis(10);
/// So many calls before a fault say what is normal.
pub(crate) const CALM: usize = 100;
/// So many calls in a row, all answered in the time that is normal, are gateways that are well.
const WELL: usize = 100;
/// How long after a fault all must go well again. It takes a second or two; a machine that has other things to do is
/// given time.
pub(crate) const WELL_IN: Duration = Duration::from_secs(30);

/// What a client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The whole answer to the call of this id: its end is in the books.
    Whole(Uuid),
    /// That there was an answer, whose end cannot be written now.
    Withheld,
    /// That the call cannot be taken now: nothing was sent to the provider.
    Refused,
}

/// One call.
#[derive(Clone, Copy, Debug)]
struct Call {
    began: Instant,
    ended: Instant,
    told: Told,
}

impl Call {
    fn is_whole(&self) -> bool {
        matches!(self.told, Told::Whole(_))
    }
}

/// How long calls take.
#[derive(Debug)]
pub(crate) struct Latencies {
    calls: usize,
    median: Duration,
    /// Of a hundred, only one takes longer.
    p99: Duration,
    longest: Duration,
}

impl Latencies {
    fn of<'a>(calls: impl IntoIterator<Item = &'a Call>) -> Self {
        let mut took: Vec<_> = calls.into_iter().map(|call| call.ended - call.began).collect();
        took.sort();
        let at = |hundredth: usize| {
            let place = (took.len() * hundredth / 100).min(took.len().saturating_sub(1));
            took.get(place).copied().unwrap_or_default()
        };
        Self { calls: took.len(), median: at(50), p99: at(99), longest: at(100) }
    }

    /// As long as is normal, with room for a machine that may have got other things to do in between. What makes every
    /// call slow moves the median; what makes one in a hundred wait for a time-out is beyond all room.
    fn are(&self, normal: &Self) -> bool {
        self.median <= 4 * normal.median + Duration::from_millis(250)
            && self.p99 <= 4 * normal.p99 + Duration::from_secs(2)
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, median, p99, longest } = self;
        let [median, p99, longest] = [median, p99, longest].map(Duration::as_millis);
        write!(f, "{calls} calls: p50 {median} ms, p99 {p99} ms, max {longest} ms")
    }
}

/// All calls so far.
#[derive(Debug, Default)]
pub(crate) struct Load {
    calls: Mutex<Vec<Call>>,
    org: OnceLock<Uuid>,
    stop: AtomicBool,
}

impl Load {
    /// Lets so many clients call until `meanwhile` is over. Every answer must be one that may be.
    pub(crate) async fn during<T>(
        &self,
        gateways: &[SocketAddr],
        org: &Org,
        clients: usize,
        meanwhile: impl Future<Output = T>,
    ) -> T {
        self.org.set(org.id.as_uuid()).expect("one load is one organization's");
        let calling =
            (0..clients).map(|number| self.call_on(gateways[number % gateways.len()], org, number));
        // On the heap: loads within loads are more than a test's stack holds.
        let meanwhile = Box::pin(async {
            let come = meanwhile.await;
            self.stop.store(true, Relaxed);
            come
        });
        let (_, come) = tokio::join!(join_all(calling), meanwhile);
        self.stop.store(false, Relaxed);
        come
    }

    async fn call_on(&self, gateway: SocketAddr, org: &Org, number: usize) {
        let ask = Ask { stream: number.is_multiple_of(4), ..Ask::of(BOTH[number / 2 % 2]) };
        let ask = Ask { stream: number.is_multiple_of(2), ..ask }.mock("chunk-delay-ms", 3);
        let mut client = Client::open(gateway).await;
        while !self.stop.load(Relaxed) {
            let began = Instant::now();
            client.send(&ask.bytes(&org.token)).await;
            let answer = client.answer().await.expect("an answer, whatever it is");
            let told = match answer.status {
                200 if !ask.stream || answer.has_end() => {
                    Told::Whole(answer.header("x-request-id").unwrap().parse().unwrap())
                }
                200 => {
                    assert!(answer.ends_in_error(), "{}", answer.text());
                    Told::Withheld
                }
                503 => {
                    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
                    let message = &answer.json()["error"]["message"];
                    assert!(wait >= 1 && message.is_string(), "{}", answer.text());
                    let withheld = message.as_str().is_some_and(|said| said.contains("withheld"));
                    if withheld { Told::Withheld } else { Told::Refused }
                }
                other => panic!("{other}: {}", answer.text()),
            };
            self.calls.lock().unwrap().push(Call { began, ended: Instant::now(), told });
            if told == Told::Refused {
                sleep(PAUSE).await;
            }
        }
    }

    fn count(&self, which: impl Fn(Told) -> bool) -> usize {
        self.calls.lock().unwrap().iter().filter(|call| which(call.told)).count()
    }

    /// Waits for so many more whole answers.
    pub(crate) async fn more_whole(&self, more: usize) {
        let whole = |told| matches!(told, Told::Whole(_));
        let before = self.count(whole);
        until("calls go on", async || self.count(whole) >= before + more).await;
    }

    /// Waits for so many more refusals.
    pub(crate) async fn more_refused(&self, more: usize) {
        let refused = |told| told == Told::Refused;
        let before = self.count(refused);
        until("calls are refused", async || self.count(refused) >= before + more).await;
    }

    /// How long whole answers take that began since then.
    pub(crate) fn latencies(&self, since: Instant) -> Latencies {
        let calls = self.calls.lock().unwrap();
        Latencies::of(calls.iter().filter(|call| call.began >= since && call.is_whole()))
    }

    /// Waits until so many calls in a row have gone well and took no longer than is normal, and says how long after
    /// `since` they began: from then on all was well.
    pub(crate) async fn well_again(&self, since: Instant, normal: &Latencies) -> Duration {
        let well = || self.first_well(since, normal);
        until("all goes well again", async || well().is_some()).await;
        let (from, latencies) = well().expect("it has been well");
        let took = from.saturating_duration_since(since);
        eprintln!("{took:?} after it: {latencies}");
        took
    }

    /// The first calls in a row that went well and ended after `since`: when they began, and how long they took.
    fn first_well(&self, since: Instant, normal: &Latencies) -> Option<(Instant, Latencies)> {
        let mut calls = self.calls.lock().unwrap().clone();
        calls.retain(|call| call.ended >= since);
        calls.sort_by_key(|call| call.began);
        // This is asked again and again while the clients call: not each row of so many is looked at.
        let in_a_row = calls.split(|call| !call.is_whole());
        let rows = in_a_row.flat_map(|calls| calls.windows(WELL).step_by(WELL / 4));
        rows.map(|calls| (calls[0].began, Latencies::of(calls)))
            .find(|(_, latencies)| latencies.are(normal))
    }

    /// The longest that any call took.
    pub(crate) fn longest(&self) -> Duration {
        let calls = self.calls.lock().unwrap();
        calls.iter().map(|call| call.ended - call.began).max().unwrap_or_default()
    }

    /// Whoever had the whole of an answer has its call in the books, ended in order; and each call that was not
    /// refused is there, and no other one.
    pub(crate) async fn is_in_the_books(&self, house: &House) {
        let calls = self.calls.lock().unwrap().clone();
        let org = *self.org.get().expect("it has called");
        let mut rows = house.rows().await;
        rows.retain(|row| row.organization == org);
        let taken = calls.iter().filter(|call| call.told != Told::Refused).count();
        assert_eq!(rows.len(), taken, "{}", self.tally());
        let complete: HashSet<_> =
            rows.iter().filter(|row| row.ending == "complete").map(|row| row.request).collect();
        for call in calls {
            if let Told::Whole(request) = call.told {
                assert!(complete.contains(&request), "{request} was answered and is not written");
            }
        }
    }

    /// So many of each.
    pub(crate) fn tally(&self) -> String {
        let whole = self.count(|told| matches!(told, Told::Whole(_)));
        let [withheld, refused] =
            [Told::Withheld, Told::Refused].map(|told| self.count(|one| one == told));
        format!("{whole} whole, {withheld} withheld, {refused} refused")
    }
}
