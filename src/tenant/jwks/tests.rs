//! The timing of fetches, with a scripted issuer and a paused clock.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use tokio::time::advance;

use super::{
    fetch::{FetchError, Fetched, max_age},
    *,
};
use crate::tenant::testing::{jwk, set};

/// An issuer whose answer can be changed.
#[derive(Clone)]
struct Script(Arc<State>);

struct State {
    /// `None`: the issuer is down.
    answer: Mutex<Option<Fetched>>,
    fetches: AtomicUsize,
    takes: Duration,
}

impl Script {
    fn new(keys: &[&str]) -> Self {
        let script = Self(Arc::new(State {
            answer: Mutex::new(None),
            fetches: AtomicUsize::new(0),
            takes: Duration::from_millis(10),
        }));
        script.publish(keys);
        script
    }

    fn publish(&self, kids: &[&str]) {
        let keys: Vec<_> = kids.iter().map(|kid| jwk(0, kid)).collect();
        self.answer(Some(Bytes::from(set(&keys))), None);
    }

    fn answer(&self, document: Option<Bytes>, max_age: Option<Duration>) {
        *self.0.answer.lock().unwrap() = document.map(|document| Fetched { document, max_age });
    }

    fn fetches(&self) -> usize {
        self.0.fetches.load(Ordering::Relaxed)
    }

    fn start(&self) -> Jwks {
        let options = JwksOptions::new("https://issuer.test");
        Jwks::start(options, self.clone(), vec![Algorithm::Rs256]).unwrap()
    }
}

impl Fetch for Script {
    async fn fetch(&self) -> Result<Fetched, FetchError> {
        self.0.fetches.fetch_add(1, Ordering::Relaxed);
        let answer = self.0.answer.lock().unwrap().clone();
        tokio::time::sleep(self.0.takes).await;
        answer.ok_or(FetchError::Status(StatusCode::BAD_GATEWAY))
    }
}

fn has(jwks: &Jwks, kid: &str) -> Option<bool> {
    jwks.current()?.as_ref().map(|snapshot| snapshot.keys.find(Some(kid)).is_some())
}

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(start_paused = true)]
async fn the_first_fetch_begins_at_once() {
    let jwks = Script::new(&["a"]).start();
    assert!(jwks.current().is_none());
    jwks.running().unwrap().ended().await;
    assert_eq!(has(&jwks, "a"), Some(true));
    assert!(jwks.running().is_none());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_asked_for_once_by_all_who_want_it() {
    let issuer = Script::new(&["a"]);
    let jwks = issuer.start();
    jwks.first().await;
    issuer.publish(&["a", "b"]);
    let waiting: Vec<_> = (0..100).map(|_| jwks.want("b").unwrap()).collect();
    for one in waiting {
        assert!(one.ended().await);
    }
    assert_eq!(has(&jwks, "b"), Some(true));
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_unknown_keys_is_one_fetch_per_cooldown() {
    let issuer = Script::new(&["a"]);
    let jwks = issuer.start();
    jwks.first().await;
    for second in 0..120 {
        for n in 0..100 {
            if let Some(awaited) = jwks.want(&format!("{second}-{n}")) {
                awaited.ended().await;
            }
        }
        advance(Duration::from_secs(1)).await;
    }
    // One fetch at the start, then one every 30 s for 120 s.
    assert!((4..=6).contains(&issuer.fetches()), "{}", issuer.fetches());
}

#[tokio::test(start_paused = true)]
async fn the_cooldown_counts_from_a_failed_attempt_too() {
    let issuer = Script::new(&["a"]);
    let jwks = issuer.start();
    jwks.first().await;
    issuer.answer(None, None);
    assert!(!jwks.want("b").unwrap().ended().await, "the fetch failed");
    assert!(jwks.want("c").is_none());
    assert_eq!(has(&jwks, "a"), Some(true), "the earlier set stays");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_a_fetch_did_not_bring_is_not_asked_for_again_soon() {
    let issuer = Script::new(&["a"]);
    let jwks = issuer.start();
    jwks.first().await;
    assert!(jwks.want("b").unwrap().ended().await);
    jwks.missed("b");
    advance(Duration::from_secs(45)).await;
    assert!(jwks.want("b").is_none(), "remembered");
    assert!(jwks.want("c").is_some(), "past the cooldown for others");
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_of_unknown_keys_is_bounded() {
    let jwks = Script::new(&["a"]).start();
    for n in 0..10 * MISSES_MAX {
        jwks.missed(&n.to_string());
    }
    let known = jwks.shared.misses.len();
    assert!(known <= MISSES_MAX && known > MISSES_MAX / 2, "{known}");
}

#[tokio::test(start_paused = true)]
async fn a_key_taken_back_is_gone_with_the_next_refresh() {
    let issuer = Script::new(&["a", "b"]);
    let jwks = issuer.start();
    jwks.first().await;
    issuer.publish(&["b"]);
    advance(10 * MINUTE).await;
    tokio::time::sleep(MINUTE / 60).await;
    assert_eq!((has(&jwks, "a"), has(&jwks, "b")), (Some(false), Some(true)));
}

#[tokio::test(start_paused = true)]
async fn the_issuer_says_how_often_within_bounds() {
    for (max_age, soonest, latest) in [
        (Some(Duration::ZERO), 54, 60),
        (Some(Duration::from_mins(2)), 108, 120),
        (Some(Duration::from_hours(24)), 3240, 3600),
        (None, 540, 600),
    ] {
        let issuer = Script::new(&["a"]);
        let document = Bytes::from(set(&[jwk(0, "a")]));
        issuer.answer(Some(document), max_age);
        let jwks = issuer.start();
        jwks.first().await;
        tokio::time::sleep(Duration::from_secs(soonest - 1)).await;
        assert_eq!(issuer.fetches(), 1, "{max_age:?}");
        tokio::time::sleep(Duration::from_secs(latest - soonest + 2)).await;
        assert_eq!(issuer.fetches(), 2, "{max_age:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn stale_keys_are_used_up_to_the_limit_and_not_beyond() {
    let issuer = Script::new(&["a"]);
    let jwks = issuer.start();
    jwks.first().await;
    issuer.answer(None, None);
    tokio::time::sleep(60 * MINUTE).await;
    assert_eq!(has(&jwks, "a"), Some(true), "an hour after the last fetch");
    tokio::time::sleep(11 * MINUTE).await;
    assert!(jwks.current().is_none(), "10 min good, then 60 min stale, then closed");
    issuer.publish(&["a"]);
    tokio::time::sleep(MINUTE).await;
    assert_eq!(has(&jwks, "a"), Some(true), "and open again by itself");
}

#[tokio::test(start_paused = true)]
async fn garbage_is_a_failed_fetch_and_an_empty_set_is_not() {
    let issuer = Script::new(&["a"]);
    let jwks = issuer.start();
    jwks.first().await;
    for garbage in ["", "<html>", "{}", "[]", r#"{"keys":{}}"#, r#"{"keys":[1]} x"#] {
        issuer.answer(Some(Bytes::from_static(garbage.as_bytes())), None);
        advance(MINUTE).await;
        if let Some(awaited) = jwks.want(garbage) {
            assert!(!awaited.ended().await, "{garbage}");
        }
        assert_eq!(has(&jwks, "a"), Some(true), "{garbage}");
    }
    issuer.publish(&[]);
    tokio::time::sleep(MINUTE).await;
    assert_eq!(has(&jwks, "a"), Some(false));
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_down_at_the_start_is_asked_again_until_it_answers() {
    let issuer = Script::new(&[]);
    issuer.answer(None, None);
    let jwks = issuer.start();
    jwks.first().await;
    assert!(jwks.current().is_none());
    tokio::time::sleep(MINUTE).await;
    assert!((5..=8).contains(&issuer.fetches()), "{}", issuer.fetches());
    issuer.publish(&["a"]);
    tokio::time::sleep(MINUTE / 2).await;
    assert_eq!(has(&jwks, "a"), Some(true));
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_last_reader() {
    let issuer = Script::new(&["a"]);
    let jwks = issuer.start();
    jwks.first().await;
    drop(jwks);
    tokio::time::sleep(60 * MINUTE).await;
    assert_eq!(issuer.fetches(), 1);
}

#[test]
fn cache_control_is_read_as_http_means_it() {
    let read = |cache_control: &'static str, age: Option<&'static str>| {
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, cache_control.parse().unwrap());
        age.map(|age| headers.insert(header::AGE, age.parse().unwrap()));
        max_age(&headers).map(|age| age.as_secs())
    };
    assert_eq!(read("public, Max-Age=\"300\", must-revalidate", None), Some(300));
    assert_eq!(read("max-age=300", Some("100")), Some(200));
    assert_eq!(read("max-age=300", Some("1000")), Some(0));
    assert_eq!(read("max-age=300, no-cache", None), Some(0));
    assert_eq!(read("max-age=soon", None), None);
    assert_eq!(read("max-age=-1", None), None);
    assert_eq!(max_age(&HeaderMap::new()), None);
}
