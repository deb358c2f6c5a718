//! How many keys are remembered, and which are forgotten.

use std::{env, fs, process::Command, sync::Arc};

use uuid::Uuid;

use super::*;
use crate::{
    domain::{ids::OrganizationId, rate::Replica},
    limits::{
        counts,
        limiter::{Limiter, Met, Permit},
    },
};

/// One request of the organization with this number.
fn admit(limiter: &Arc<Limiter>, number: u128, rates: &counts::Rates) -> Option<Permit> {
    let key = limiter.keys().of_policy(OrganizationId::new(Uuid::from_u128(number)));
    limiter.admit(&Met { key, rates: *rates, limit: None }, 1).admitted.ok()
}

fn one_request() -> counts::Rates {
    counts::Rates::share(&policy(1, 0, 0).rates, Replica::ALONE)
}

#[tokio::test(start_paused = true)]
async fn keys_are_forgotten_once_that_does_them_no_favour() {
    let layer = layer(1, 0, 0).keys_max(10_000);
    let owing = tenant();
    for _ in 0..1_000 {
        assert_eq!(plain(&layer, &tenant()).await, 200);
    }
    assert_eq!(layer.limiter().len(), 1_000);
    time::advance(Duration::from_secs(30)).await;
    assert_eq!(plain(&layer, &owing).await, 200);
    time::advance(Duration::from_secs(30)).await;
    for _ in 0..1_000 {
        assert_eq!(plain(&layer, &tenant()).await, 200);
    }
    assert!(layer.limiter().len() < 1_600, "{}", layer.limiter().len());
    assert_eq!(plain(&layer, &owing).await, 429);
}

#[tokio::test(start_paused = true)]
async fn who_calls_no_more_is_forgotten_by_what_others_do_even_if_nobody_is_new() {
    let layer = layer(1, 0, 0).keys_max(10_000);
    for _ in 0..1_000 {
        assert_eq!(plain(&layer, &tenant()).await, 200);
    }
    let regular = tenant();
    for _ in 0..60 {
        time::advance(Duration::from_secs(5)).await;
        plain(&layer, &regular).await;
    }
    assert_eq!(layer.limiter().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn where_all_are_busy_there_are_never_many_more_than_the_most_and_the_fullest_go_first() {
    let limiter = Arc::new(Limiter::new(1_600));
    let rates = counts::Rates::share(&policy(60, 0, 0).rates, Replica::ALONE);
    // One key has used everything, and another has a call in flight.
    for _ in 0..60 {
        assert!(admit(&limiter, 1, &rates).is_some());
    }
    let in_flight =
        admit(&limiter, 2, &counts::Rates::share(&policy(0, 0, 1).rates, Replica::ALONE));
    assert!(in_flight.is_some());
    for number in 10..50_000 {
        assert!(admit(&limiter, number, &rates).is_some());
        assert!(limiter.len() <= 1_600 * 9 / 8);
    }
    assert!(limiter.len() >= 1_200, "{}", limiter.len());
    assert!(admit(&limiter, 1, &rates).is_none());
    assert!(
        admit(&limiter, 2, &counts::Rates::share(&policy(0, 0, 1).rates, Replica::ALONE)).is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_are_remembered_however_many_there_are() {
    let limiter = Arc::new(Limiter::new(100));
    let rates = counts::Rates::share(&policy(0, 0, 1).rates, Replica::ALONE);
    let permits: Vec<_> = (0..2_000).filter_map(|number| admit(&limiter, number, &rates)).collect();
    assert_eq!((permits.len(), limiter.len()), (2_000, 2_000));
    assert!((0..2_000).all(|number| admit(&limiter, number, &rates).is_none()));
    drop(permits);
    assert!((0..100).all(|number| admit(&limiter, number, &rates).is_some()));
}

/// Set in the process whose memory is measured.
const ALONE: &str = "TOLLGATE_TEST_ALONE";

/// Resident memory of this process without the pages of its program, if the system reports it.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1_024)
}

#[test]
#[expect(clippy::print_stdout, reason = "figures for whoever asks: `-- --nocapture`")]
fn a_million_keys_take_60_megabytes_and_a_minute_later_they_are_gone() {
    // In a process of its own, so that no other test uses its memory.
    let (_, this) =
        concat!(module_path!(), "::measured_in_a_process_of_its_own").split_once("::").unwrap();
    let alone = Command::new(env::current_exe().unwrap())
        .args(["--exact", this, "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&alone.stdout);
    println!("{said}");
    assert!(alone.status.success(), "{said}{}", String::from_utf8_lossy(&alone.stderr));
    assert!(said.contains("1 passed"), "it did not run: {said}");
}

/// Not a test by itself: the test above starts it in a new process.
#[tokio::test(start_paused = true)]
#[expect(clippy::print_stdout, reason = "the test above passes it on")]
async fn measured_in_a_process_of_its_own() {
    const KEYS: u64 = 1_000_000;
    if env::var_os(ALONE).is_none() {
        return;
    }
    let (limiter, rates) = (Arc::new(Limiter::new(1_000_000)), one_request());
    let before = resident_bytes();
    let admitted = (0..KEYS).filter(|number| admit(&limiter, (*number).into(), &rates).is_some());
    assert_eq!(admitted.count(), 1_000_000);
    let known = limiter.len();
    assert!((990_000..=1_000_000).contains(&known), "{known}");
    let grown = || Some(resident_bytes()?.saturating_sub(before?));
    println!("{known} keys take {:?} bytes", grown());
    // No key passes a second time, except the few that had to be forgotten.
    let again = (0..KEYS).filter(|number| admit(&limiter, (*number).into(), &rates).is_some());
    assert!(again.count() < 30_000);
    // A quarter more keys take no more memory.
    for number in KEYS..KEYS + KEYS / 4 {
        admit(&limiter, number.into(), &rates);
    }
    let (most, taken) = (limiter.len(), grown());
    println!("{most} keys after a quarter more take {taken:?} bytes");
    assert!(most <= 1_125_000, "{most}");
    if told(taken) {
        // The lower bound is the size of the keys and their counts.
        assert!((40 << 20..=60 << 20).contains(&taken.unwrap()), "{taken:?}");
    }
    time::advance(Duration::from_mins(1)).await;
    for number in 0..5_000 {
        time::advance(Duration::from_millis(60)).await;
        admit(&limiter, number % 10, &rates);
    }
    println!("{} keys five minutes later take {:?} bytes", limiter.len(), grown());
    assert!(limiter.len() <= 10, "{}", limiter.len());
}

/// Whether the system reports memory.
fn told(memory: Option<u64>) -> bool {
    #[cfg(feature = "postgres")]
    return crate::postgres::cluster::testing::has("/proc/self/status", memory.is_some());
    #[cfg(not(feature = "postgres"))]
    memory.is_some()
}
