//! The key set over its life: rotation, storms, outages.

use std::{
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;
use tollgate::tenant::{JwksOptions, KeySource};

use super::kit::{Gateway, Issuer, Signer, b64, claims};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_rotate_under_load_without_one_failed_call() {
    let mut signers = vec![Arc::new(Signer::new("key-0"))];
    let issuer = Issuer::start(&[&signers[0]]).await;
    let gateway =
        Gateway::start(JwksOptions { cooldown: Duration::ZERO, ..issuer.options() }).await;
    let signing = Arc::new(RwLock::new(Arc::clone(&signers[0])));
    let (calls, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));

    let mut callers = JoinSet::new();
    for caller in 0..8 {
        let (gateway, signing) = (gateway.clone(), Arc::clone(&signing));
        let (calls, done) = (Arc::clone(&calls), Arc::clone(&done));
        callers.spawn(async move {
            let mut turn = 0;
            while !done.load(Ordering::SeqCst) {
                let signer = Arc::clone(&signing.read().unwrap());
                let mut fresh = claims();
                fresh["jti"] = json!(format!("{caller}-{turn}"));
                let token = signer.token(&fresh);
                // The second time it is remembered.
                assert_eq!((gateway.call(&token).await, gateway.call(&token).await), (200, 200));
                calls.fetch_add(2, Ordering::SeqCst);
                turn += 1;
            }
        });
    }
    for generation in 1..=4 {
        let before = calls.load(Ordering::SeqCst);
        while calls.load(Ordering::SeqCst) < before + 50 {
            // One that ends has failed, and the others may wait for it for ever.
            assert!(callers.try_join_next().is_none(), "a caller was refused");
            tokio::task::yield_now().await;
        }
        let next = Arc::new(Signer::new(&format!("key-{generation}")));
        signers.push(Arc::clone(&next));
        issuer.publish(&[&signers[generation - 1], &next]);
        *signing.write().unwrap() = next;
    }
    done.store(true, Ordering::SeqCst);
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    assert_eq!(gateway.reached(), calls.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_rotation_right_after_the_start_is_noticed_at_once() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let issuer = Issuer::start(&[&old]).await;
    let gateway = Gateway::start(issuer.options()).await;
    issuer.publish(&[&old, &new]);
    assert_eq!(gateway.call(&new.token(&claims())).await, 200);
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_unknown_keys_costs_the_issuer_one_fetch_and_others_nothing() {
    let signer = Signer::new("good");
    let issuer = Issuer::start(&[&signer]).await;
    // Longer than a slow machine needs for the storm.
    let cooldown = Duration::from_mins(10);
    let gateway = Gateway::start(JwksOptions { cooldown, ..issuer.options() }).await;
    let good = signer.token(&claims());
    let mut storm = JoinSet::new();
    for n in 0..10_000 {
        let gateway = gateway.clone();
        let header = json!({"alg": "RS256", "kid": format!("unknown-{n}")}).to_string();
        let token = format!("{}.{}.{}", b64(header), b64("{}"), b64([0; 256]));
        storm.spawn(async move { gateway.call(&token).await });
    }
    for _ in 0..100 {
        assert_eq!(gateway.call(&good).await, 200);
    }
    while let Some(status) = storm.join_next().await {
        assert_eq!(status.unwrap(), 401);
    }
    assert_eq!(gateway.reached(), 100);
    assert_eq!(issuer.fetches(), 2, "the first one, and one for the whole storm");
}

#[tokio::test]
async fn callers_with_known_keys_do_not_wait_for_a_fetch_that_hangs() {
    let signer = Signer::new("good");
    let issuer = Issuer::start(&[&signer]).await;
    let gateway = Gateway::start(issuer.options()).await;
    issuer.hang();
    let newcomer = Signer::new("new");
    let mut waiting = JoinSet::new();
    for n in 0..10 {
        let (gateway, mut fresh) = (gateway.clone(), claims());
        fresh["jti"] = json!(n.to_string());
        let token = newcomer.token(&fresh);
        waiting.spawn(async move { gateway.call(&token).await });
    }
    while issuer.fetches() < 2 {
        tokio::task::yield_now().await;
    }
    let known = signer.token(&claims());
    let known = tokio::time::timeout(Duration::from_secs(20), gateway.call(&known)).await;
    assert_eq!(known.expect("it waits for the fetch"), 200);
    assert!(waiting.try_join_next().is_none(), "the fetch does not hang");
    // One who leaves does not take the fetch away from the others.
    let leaver = gateway.clone();
    let token = newcomer.token(&claims());
    assert!(tokio::time::timeout(Duration::from_millis(1), leaver.call(&token)).await.is_err());
    issuer.publish(&[&signer, &newcomer]);
    issuer.go_on();
    while let Some(status) = waiting.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test]
async fn a_key_taken_back_stops_at_once_with_all_its_remembered_tokens() {
    let (leaked, next) = (Signer::new("leaked"), Signer::new("next"));
    let issuer = Issuer::start(&[&leaked]).await;
    let gateway =
        Gateway::start(JwksOptions { cooldown: Duration::ZERO, ..issuer.options() }).await;
    let remembered = leaked.token(&claims());
    assert_eq!((gateway.call(&remembered).await, gateway.call(&remembered).await), (200, 200));

    issuer.publish(&[&next]);
    assert_eq!(gateway.call(&next.token(&claims())).await, 200, "this one brings the new set");
    assert_eq!(gateway.call(&remembered).await, 401);
}

#[tokio::test]
async fn a_key_replaced_under_its_own_name_stops_too() {
    let (leaked, replaced, other) =
        (Signer::new("same"), Signer::new("same"), Signer::new("other"));
    let issuer = Issuer::start(&[&leaked]).await;
    let gateway = Gateway::start(issuer.options()).await;
    let remembered = leaked.token(&claims());
    assert_eq!(gateway.call(&remembered).await, 200);
    issuer.publish(&[&replaced, &other]);
    assert_eq!(gateway.call(&other.token(&claims())).await, 200);
    assert_eq!(gateway.call(&remembered).await, 401);
    assert_eq!(gateway.call(&replaced.token(&claims())).await, 200);
}

#[tokio::test]
async fn while_the_issuer_is_down_its_last_keys_are_used_up_to_the_limit() {
    let signer = Signer::new("good");
    let issuer = Issuer::start(&[&signer]).await;
    let short = Duration::from_millis(100);
    // So long that a slow machine calls within it.
    let stale_max = Duration::from_secs(3);
    let options = JwksOptions {
        refresh_min: short,
        refresh_max: short,
        stale_max,
        cooldown: short,
        ..issuer.options()
    };
    let begun = Instant::now();
    let gateway = Gateway::start(options).await;
    let token = signer.token(&claims());
    issuer.answer(StatusCode::INTERNAL_SERVER_ERROR, "down");
    while issuer.fetches() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(gateway.call(&token).await, 200, "stale, and still good");
    gateway.until(&token, 503).await;
    assert!(begun.elapsed() > stale_max, "{:?}", begun.elapsed());
    assert!(!gateway.verifier.ready());
    issuer.publish(&[&signer]);
    gateway.until(&token, 200).await;
    assert!(gateway.verifier.ready());
}

#[tokio::test]
async fn without_any_keys_nobody_is_told_that_the_token_is_bad() {
    let (signer, elsewhere) = (Signer::new("good"), Signer::new("elsewhere"));
    let other = Issuer::start(&[&elsewhere]).await;
    let issuer = Issuer::start(&[]).await;
    let many: Vec<_> = (0..33).map(|_| signer.jwk.clone()).collect();
    let with_space =
        |bytes: usize| format!("{}{}", json!({"keys": [signer.jwk]}), " ".repeat(bytes));
    let broken: [&dyn Fn(); 7] = [
        &|| {
            issuer.answer(
                StatusCode::INTERNAL_SERVER_ERROR,
                &json!({"keys": [signer.jwk]}).to_string(),
            );
        },
        &|| issuer.answer(StatusCode::OK, "<html>sign in</html>"),
        &|| issuer.answer(StatusCode::OK, ""),
        &|| issuer.answer(StatusCode::OK, r#"{"keys": "none"}"#),
        &|| issuer.answer(StatusCode::OK, &json!({ "keys": many }).to_string()),
        &|| issuer.answer(StatusCode::OK, &with_space(64 * 1024)),
        &|| issuer.redirect(&other.url),
    ];
    for (n, break_it) in broken.iter().enumerate() {
        break_it();
        let gateway = Gateway::with(KeySource::published(
            issuer.options(),
            tollgate::client::HttpClient::default(),
        ));
        assert_eq!(gateway.call(&signer.token(&claims())).await, 503, "{n}");
        assert_eq!(gateway.call(&elsewhere.token(&claims())).await, 503, "{n}");
        assert!(!gateway.verifier.ready());
        assert_eq!(gateway.reached(), 0);
    }
    assert_eq!(other.fetches(), 0, "redirects are not followed");
    issuer.answer(StatusCode::OK, &with_space(1024));
    assert_eq!(Gateway::start(issuer.options()).await.call(&signer.token(&claims())).await, 200);
}
