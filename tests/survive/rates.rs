//! Rates of organizations, teams, people, keys and models, driven past their caps.
//!
//! The rates are low, so that little refills while a busy machine works through all calls. The tests account for the
//! part that does refill.

use std::{num::NonZeroU32, time::Instant};

use futures_util::future::join_all;
use tollgate::{
    domain::{
        ids::{KeyId, TeamId},
        policy::{Policy, RateLimit, Rates},
        scope::Scope,
    },
    gateway::issuer::Grant,
    store::admin::{LimitAdmin, Limited, RateChange, RateChanges},
};
use uuid::Uuid;

use super::harness::{Answer, Ask, Client, House, MODEL, Org, RICH, Setup};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Requests,
    Tokens,
    InFlight,
}

const KINDS: [Kind; 3] = [Kind::Requests, Kind::Tokens, Kind::InFlight];

/// Scope and models of a limit.
const SCOPES: [(Scope, &str); 5] = [
    (Scope::Organization, "*"),
    (Scope::Team, "*"),
    (Scope::User, "*"),
    (Scope::Key, "*"),
    (Scope::Organization, MODEL),
];

fn only(kind: Kind, most: u32) -> RateChanges {
    let change = |this| match NonZeroU32::new(most) {
        Some(most) if this == kind => RateChange::To(most),
        _ => RateChange::Keep,
    };
    RateChanges {
        requests_per_minute: change(Kind::Requests),
        tokens_per_minute: change(Kind::Tokens),
        calls_in_flight: change(Kind::InFlight),
    }
}

/// Of each of this scope; of the organization, where that is the scope.
fn each(scope: Scope, model_pattern: &str) -> Limited<'_> {
    let scope_id = if scope == Scope::Organization { "" } else { Scope::EACH };
    Limited { scope, scope_id, model_pattern }
}

/// Tokens of an organization in which somebody differs from all others in one thing only.
fn tokens(house: &House, org: &Org, scope: Scope, number: u128) -> String {
    let this = |of| if scope == of { 1 } else { number };
    let user = format!("user {}", this(Scope::User));
    let team_id = Some(TeamId::new(Uuid::from_u128(this(Scope::Team))));
    let key_id = Some(KeyId::new(Uuid::from_u128(this(Scope::Key))));
    house.somebody(&Grant { team_id, key_id, ..Grant::new(org.id, &user) }).token
}

/// Sends all calls at once, over all gateways in turn, and returns the answers' heads; those that passed stay open.
async fn heads(house: &House, asks: Vec<(Ask, String)>) -> Vec<(u16, Client)> {
    let opening = (0..asks.len())
        .map(|number| Client::open(house.gateways[number % house.gateways.len()].address));
    let clients = join_all(opening).await;
    let asking = clients.into_iter().zip(asks).map(async |(mut client, (ask, token))| {
        client.send(&ask.bytes(&token)).await;
        let head = client.head().await.unwrap();
        (head.status, client)
    });
    join_all(asking).await
}

/// A call that uses exactly the tokens that it is reckoned with, and how many they are.
async fn exact(house: &House) -> (Ask, u32) {
    let org = house.organization(RICH).await;
    house
        .operator
        .set_rate_limit(org.id, each(Scope::User, "*"), only(Kind::Tokens, 1_000_000))
        .await
        .unwrap();
    let ask = Ask::chat().at_most(10).mock("output-tokens", 10);
    let answer = house.ask(&org, &ask).await;
    let left: u32 = answer.header("x-ratelimit-remaining-tokens").unwrap().parse().unwrap();
    let limit: u32 = answer.header("x-ratelimit-limit-tokens").unwrap().parse().unwrap();
    let tokens = limit - left;
    (ask.mock("input-tokens", tokens - 10), tokens)
}

/// How many of thirty calls that somebody starts at once pass, when nobody has seen the caller before.
async fn passed(house: &House, org: &Org, scope: Scope, kind: Kind, ask: &Ask) -> u32 {
    let ask = match kind {
        Kind::InFlight => ask.clone().streamed().mock("chunk-delay-ms", 60_000),
        Kind::Requests | Kind::Tokens => ask.clone(),
    };
    let asks = (0..30).map(|number| (ask.clone(), tokens(house, org, scope, 100 + number)));
    let answers = heads(house, asks.collect()).await;
    let mut passed = 0;
    for (status, client) in answers {
        assert!(matches!(status, 200 | 429), "{status}");
        passed += u32::from(status == 200);
        client.reset();
    }
    passed
}

/// What has come back since of a rate of so much a minute, at the most: nothing, where the machine is not very slow.
fn refilled(a_minute: u32, since: Instant) -> u32 {
    let millis = u64::try_from(since.elapsed().as_millis()).unwrap();
    u32::try_from(u64::from(a_minute) * millis / 60_000).unwrap()
}

/// Every kind in every scope, over as many gateways as there are: as many pass as the limit says.
async fn drive_past(house: &House) {
    let (ask, each_tokens) = exact(house).await;
    for kind in KINDS {
        for (scope, pattern) in SCOPES {
            // Who leaves is not waited for.
            let disconnect = tollgate::domain::policy::Disconnect::Cancel;
            let policy = Policy { disconnect, ..Policy::default() };
            let org = house.organization_with(RICH, policy).await;
            let (most, each_takes) = match kind {
                Kind::Requests => (3, 1),
                Kind::Tokens => (4 * each_tokens + 1, each_tokens),
                Kind::InFlight => (5, 1),
            };
            house
                .operator
                .set_rate_limit(org.id, each(scope, pattern), only(kind, most))
                .await
                .unwrap();
            let begun = Instant::now();
            let passed = passed(house, &org, scope, kind, &ask).await;
            let refilled = if kind == Kind::InFlight { 0 } else { refilled(most, begun) };
            let expected = most / each_takes..=(most + refilled) / each_takes;
            assert!(
                expected.contains(&passed),
                "{kind:?} {scope} {pattern}: {passed} of {expected:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rate_of_every_scope_lets_as_many_of_thirty_first_calls_pass_as_it_says() {
    let mut house = House::with(Setup::giving_up()).await;
    house.some_unserved = true;
    drive_past(&house).await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_let_no_more_pass_together_than_one_and_no_fewer() {
    let mut house = House::unopened(Setup::giving_up()).await;
    house.replicas = NonZeroU32::new(2).unwrap();
    house.start().await;
    house.start().await;
    house.some_unserved = true;
    drive_past(&house).await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_first_calls_of_one_user_team_or_key_share_its_rate() {
    let house = House::open().await;
    for scope in [Scope::User, Scope::Team, Scope::Key] {
        let org = house.organization(RICH).await;
        house
            .operator
            .set_rate_limit(org.id, each(scope, "*"), only(Kind::Requests, 2))
            .await
            .unwrap();
        let asks = (0..100).map(|number| (Ask::chat(), tokens(&house, &org, scope, 100 + number)));
        let begun = Instant::now();
        let answers = heads(&house, asks.collect()).await;
        let passed = answers.iter().filter(|(status, _)| *status == 200).count();
        assert!(answers.iter().all(|(status, _)| matches!(status, 200 | 429)), "{scope}");
        let most = 2 + usize::try_from(refilled(2, begun)).unwrap();
        assert!((2..=most).contains(&passed), "{scope}: {passed} of {most}");
        // Whoever differs in that one thing, too, does not share it.
        let other = Grant::new(org.id, "somebody else");
        let other = house.somebody(&other);
        assert_eq!(house.ask(&other, &Ask::chat()).await.status, 200);
        join_all(answers.into_iter().map(|(_, client)| client.leave())).await;
    }
    house.close().await;
}

#[tokio::test]
async fn a_refusal_says_whose_limit_of_what_and_when_to_come_back() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    house
        .operator
        .set_rate_limit(org.id, each(Scope::User, "sm*"), only(Kind::Requests, 1))
        .await
        .unwrap();
    let begun = Instant::now();
    let first = house.ask(&org, &Ask::chat()).await;
    let refused = house.ask(&org, &Ask::chat()).await;
    let took = begun.elapsed().as_secs();
    assert_eq!((first.status, refused.status), (200, 429));
    let error = &refused.json()["error"];
    assert_eq!(error["code"], "rate_limit_exceeded");
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("Your limit of requests for `sm*` is used up."), "{message}");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    // A minute from the first call on.
    let waits = 59_u64.saturating_sub(took)..=60;
    assert!(waits.contains(&wait), "{wait} of {waits:?}");
    for answer in [&first, &refused] {
        assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("1"));
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some("0"));
        let reset = answer.header("x-ratelimit-reset-requests").unwrap().trim_end_matches('s');
        let reset = if reset == "1m0" { "60" } else { reset.split('.').next().unwrap() };
        assert!(waits.contains(&reset.parse().unwrap()), "{reset} of {waits:?}");
    }
    house.close().await;
}

fn get(path: &str, org: &Org) -> Vec<u8> {
    let token = &org.token;
    format!("GET {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {token}\r\n\r\n")
        .into_bytes()
}

#[tokio::test]
async fn a_list_of_models_costs_no_request_and_no_tokens() {
    let house = House::open().await;
    let rates = Rates {
        requests_per_minute: NonZeroU32::new(2),
        tokens_per_minute: NonZeroU32::new(1_000_000),
        ..Rates::default()
    };
    let org = house.organization_with(RICH, Policy { rates, ..Policy::default() }).await;
    house
        .operator
        .set_rate_limit(org.id, each(Scope::User, "*"), only(Kind::Requests, 2))
        .await
        .unwrap();
    let mut client = house.client().await;
    for _ in 0..75 {
        client.send(&get("/v1/models", &org)).await;
        let answer: Answer = client.answer().await.unwrap();
        assert_eq!((answer.status, answer.header("x-ratelimit-limit-requests")), (200, None));
    }
    let first = house.ask(&org, &Ask::chat()).await;
    assert_eq!(first.header("x-ratelimit-remaining-requests"), Some("1"));
    let second = house.ask(&org, &Ask::chat()).await;
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(house.ask(&org, &Ask::chat()).await.status, 429);
    client.leave().await;
    house.close().await;
}

#[tokio::test]
async fn a_limit_of_a_users_own_replaces_that_of_each_and_the_policys_holds_beside_them() {
    let house = House::open().await;
    let rates = Rates { requests_per_minute: NonZeroU32::new(3), ..Rates::default() };
    let org = house.organization_with(RICH, Policy { rates, ..Policy::default() }).await;
    let own =
        Limited { scope: Scope::User, scope_id: "bob", model_pattern: RateLimit::EVERY_MODEL };
    house
        .operator
        .set_rate_limit(org.id, each(Scope::User, "*"), only(Kind::Requests, 1))
        .await
        .unwrap();
    house.operator.set_rate_limit(org.id, own, only(Kind::Requests, 9)).await.unwrap();
    let bob = house.somebody(&Grant::new(org.id, "bob"));
    let mut statuses = Vec::new();
    for caller in [&org, &org, &bob, &bob, &bob] {
        statuses.push(house.ask(caller, &Ask::chat()).await.status);
    }
    // One of ann's; two of bob's nine, because three are all that the organization has.
    assert_eq!(statuses, [200, 429, 200, 200, 429]);
    house.close().await;
}
