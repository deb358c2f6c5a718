//! Every path and method, with the other organization named in every place that a caller can write in.

use std::sync::Arc;

use tollgate::{
    domain::{endpoint::Endpoint, role::Role},
    gateway::issuer::Grant,
};
use uuid::Uuid;

use super::{
    bare::clean_checkouts,
    harness::{Answer, Ask, BOTH, House, Org},
    secrets::{CANARY, MODEL, REQUEST, plain, rows_of, secretive},
};

/// How often a policy may be read while one set of questions is asked.
const POLICY_READS_MAX: u64 = 4;
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// All paths that the source names, and those of all endpoints, so that a new one is tried without being added here.
fn paths() -> Vec<String> {
    let source = include_str!("../../src/gateway/route.rs");
    let words = source.split('"').skip(1).step_by(2).filter(|word| word.starts_with('/'));
    let mut paths: Vec<String> = words.map(|path| path.replace("{id}", MODEL)).collect();
    paths.extend(Endpoint::ALL.iter().map(|endpoint| endpoint.spec().path.to_owned()));
    paths.push(format!("/v1/models/{MODEL}"));
    paths.extend(["/v1/responses", "/admin/v1/organizations"].map(String::from));
    paths.sort();
    paths.dedup();
    assert!(paths.iter().any(|path| path == "/v1/messages"), "{paths:?}");
    paths
}

/// One request of `org` that says in every place that it is about `other`.
fn request(org: &Org, method: &str, path: &str, other: Uuid, body: &str) -> String {
    let mut head = format!(
        "{method} {path}?organization_id={other}&org_id={other}&tenant_id={other} HTTP/1.1\r\nhost: gateway\r\n\
         authorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
        org.token,
        body.len()
    );
    for name in
        ["x-organization-id", "x-tollgate-organization-id", "openai-organization", "x-tenant-id"]
    {
        head.extend([name, ": ", &other.to_string(), "\r\n"]);
    }
    head.extend(["x-request-id: ", REQUEST, "\r\n\r\n"]);
    head + body
}

fn bodies(other: Uuid) -> Vec<String> {
    let about = serde_json::json!({"organization_id": other, "user_id": "ann"});
    // Fields that the gateway knows: these are calls.
    let known = |ask: Ask| ask.field("metadata", about.clone());
    // And others, which it refuses by name.
    let ask = |ask: Ask| {
        known(ask)
            .field("organization_id", other.to_string())
            .field("user", other.to_string())
            .field("input", "walnut")
            .body()
    };
    let [chat, messages] = BOTH.map(Ask::of);
    let reason = r#"{"reason":"walnut"}"#.to_owned();
    vec![
        String::new(),
        ask(chat.clone()),
        ask(messages.clone()),
        known(chat.clone()).field("user", other.to_string()).body(),
        known(messages).body(),
        known(chat.model(MODEL)).body(),
        reason,
    ]
}

/// An answer without what differs from one call to the next: ids, times and the caller's own figures.
fn shape(answer: &Answer) -> String {
    let mut names: Vec<_> = answer.headers.keys().cloned().collect();
    names.sort();
    let body: String = answer
        .text()
        .chars()
        .map(|letter| if letter.is_ascii_hexdigit() { '#' } else { letter })
        .collect();
    format!("{} {names:?} {body}", answer.status)
}

/// What `org` is answered about `other`, in the order of asking.
async fn ask_about(house: &House, org: &Org, other: Uuid) -> Vec<(String, String)> {
    let mut answers = Vec::new();
    for path in paths() {
        for method in METHODS {
            for (number, body) in bodies(other).iter().enumerate() {
                let what = format!("{method} {path} {number}");
                let mut client = house.client().await;
                client.send(request(org, method, &path, other, body).as_bytes()).await;
                let answer = client.answer().await.expect(&what);
                let all = format!("{:?} {}", answer.headers, answer.text());
                // What the caller has said itself may come back: the model it named, not the word in it.
                let told = all.replace(MODEL, "");
                assert!(!told.contains(CANARY), "{what}: {told}");
                assert!(!told.contains(&other.to_string()), "{what}: {told}");
                // A listing names what is there unasked.
                let unasked = !path.ends_with(MODEL) && !body.contains(MODEL);
                assert!(!unasked || !all.contains(MODEL), "{what}: {all}");
                if !matches!(path.as_str(), "/metrics" | "/readyz") {
                    answers.push((what, shape(&answer)));
                }
            }
        }
    }
    answers
}

/// As [`ask_about`], with the number of functions that the database ran for it.
async fn ask_and_count(house: &House, org: &Org, other: Uuid) -> (Vec<(String, String)>, i64) {
    let before = clean_checkouts(&house.admin).await;
    let answers = ask_about(house, org, other).await;
    house.check().await;
    (answers, clean_checkouts(&house.admin).await - before)
}

/// That the questions above see what there is to see: whoever owns the canary is told of it.
pub(crate) async fn notice_a_leak(house: House) {
    let other = secretive(&house).await;
    let house = Arc::new(house);
    let asking = tokio::spawn({
        let (house, other) = (Arc::clone(&house), other.clone());
        async move { ask_about(&house, &other, other.id.as_uuid()).await }
    });
    assert!(asking.await.is_err_and(|error| error.is_panic()), "a leak went unnoticed");
    Arc::into_inner(house).unwrap().close().await;
}

pub(crate) async fn learn_nothing(house: House) {
    let (curious, other) = (plain(&house).await, secretive(&house).await);
    // One who may do in the own organization whatever there is to do.
    let owner = Grant { role: Some(Role::Owner), ..Grant::new(curious.id, "ann") };
    let curious = house.somebody(&owner);
    let id = other.id.as_uuid();
    house.check().await;
    let before = rows_of(&house.admin, id).await;
    assert!(before.values().filter(|(rows, _)| *rows > 0).count() >= 7, "{before:?}");
    let own_before = rows_of(&house.admin, curious.id.as_uuid()).await;

    // Whether it is there, suspended, or nowhere, and whatever it did: the answers are the same, and so is
    // the work that they take, which is what could be told by their time.
    let (about, work) = ask_and_count(&house, &curious, id).await;
    let (nobody, work_for_nobody) = ask_and_count(&house, &curious, Uuid::now_v7()).await;
    assert_eq!(rows_of(&house.admin, id).await, before, "what they have has not changed");
    house.operator.set_suspended(other.id, true).await.unwrap();
    let (suspended, work_for_suspended) = ask_and_count(&house, &curious, id).await;
    for ((one, two), three) in about.iter().zip(&nobody).zip(&suspended) {
        assert_eq!(one, two, "an organization can be told from none");
        assert_eq!(one, three, "a suspended organization can be told");
    }
    for other_work in [work_for_nobody, work_for_suspended] {
        // The caller's own policy is read anew every thirty seconds, whomever it asks about.
        let difference = work.abs_diff(other_work);
        assert!(difference <= POLICY_READS_MAX, "{work} statements, or {other_work}");
    }
    house.operator.set_suspended(other.id, false).await.unwrap();
    // Also what changes something was answered: of the caller's own.
    for method in ["GET", "PUT", "DELETE"] {
        let flipped = |(what, answer): &&(String, String)| {
            what.starts_with(&format!("{method} /admin/v1/kill-switches/"))
                && answer.starts_with("200")
        };
        assert!(about.iter().filter(flipped).count() >= 4, "{method}");
    }
    let served =
        about.iter().filter(|(what, answer)| what.starts_with("POST") && answer.starts_with("200"));
    assert!(
        served.count() >= 3,
        "calls that name another organization are calls of the caller's own"
    );

    // A model of theirs is as unknown as one of nobody's.
    for ask in BOTH.map(Ask::of) {
        let (theirs, none) = (ask.clone().model(MODEL), ask.model("canarynone-model"));
        let theirs = house.ask(&curious, &theirs).await;
        let none = house.ask(&curious, &none).await;
        let named = |text: &str| text.replace(MODEL, "").replace("canarynone-model", "");
        assert_eq!((theirs.status, none.status), (403, 403));
        assert_eq!(
            theirs.text().len(),
            none.text().len() + MODEL.len() - "canarynone-model".len(),
            "{} {}",
            named(theirs.text()),
            named(none.text())
        );
    }

    // A token of one with the payload of the other is nobody's.
    let part = |token: &str, number: usize| token.split('.').nth(number).unwrap().to_owned();
    let forged =
        [part(&curious.token, 0), part(&other.token, 1), part(&curious.token, 2)].join(".");
    let forged = Org { token: forged, ..other.clone() };
    for ask in BOTH.map(Ask::of) {
        assert_eq!(house.ask(&forged, &ask).await.status, 401);
    }

    // All of it was the caller's own, in its own books.
    house.check().await;
    assert_eq!(rows_of(&house.admin, id).await, before);
    assert_ne!(rows_of(&house.admin, curious.id.as_uuid()).await, own_before);
    assert!(clean_checkouts(&house.admin).await > 20);
    house.close().await;
}
