//! Limits of teams, people, keys and models, in addition to the organization's.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use uuid::Uuid;

use super::*;
use crate::{
    domain::{
        ids::{KeyId, OrganizationId, TeamId},
        policy::RateLimit,
        scope::Scope,
    },
    store::{MemoryStore, PolicyStore, Standing, StoreFuture},
};

/// An organization with limits, and the layer that enforces them.
pub(super) struct House {
    store: MemoryStore,
    policies: Policies,
    layer: LimitsLayer,
    id: OrganizationId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Requests,
    Tokens,
    InFlight,
}

pub(super) const KINDS: [Kind; 3] = [Kind::Requests, Kind::Tokens, Kind::InFlight];

pub(super) fn rates(kind: Kind, most: u32) -> Rates {
    let only = |this| (this == kind).then(|| NonZeroU32::new(most).unwrap());
    Rates {
        requests_per_minute: only(Kind::Requests),
        tokens_per_minute: only(Kind::Tokens),
        calls_in_flight: only(Kind::InFlight),
    }
}

impl House {
    pub(super) fn new() -> Self {
        Self::of(OrganizationId::new(Uuid::new_v4()))
    }

    fn of(id: OrganizationId) -> Self {
        let store = MemoryStore::default();
        assert!(store.create_organization(id));
        let policies = Policies::cached(Arc::new(store.clone()), Policies::TTL_MAX);
        let layer = LimitsLayer::new(policies.clone());
        Self { store, policies, layer, id }
    }

    pub(super) fn limit(&self, scope: Scope, scope_id: &str, model_pattern: &str, rates: Rates) {
        let (scope_id, model_pattern) = (scope_id.into(), model_pattern.into());
        let limit = RateLimit { scope, scope_id, model_pattern, rates };
        self.store.set_rate_limit(self.id, limit).unwrap();
        self.policies.forget(self.id);
    }

    pub(super) fn policy(&self, rates: Rates) {
        self.store.set_policy(self.id, Policy { rates, ..Policy::default() }).unwrap();
        self.policies.forget(self.id);
    }

    pub(super) fn caller(&self, user: &str, team: u128, key: u128) -> Tenant {
        let (team, key) = (Uuid::from_u128(team), Uuid::from_u128(key));
        Tenant::new(self.id, user).with_team(TeamId::new(team)).with_key(KeyId::new(key))
    }

    pub(super) async fn send(&self, tenant: &Tenant, call: &Call) -> (u16, HeaderMap) {
        send(&self.layer, tenant, call).await
    }

    async fn message(&self, tenant: &Tenant, call: &Call) -> String {
        let provider = service_fn(|_: Request<()>| async {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
        });
        let gateway = self.layer.layer(provider);
        let response = gateway.oneshot(request(tenant, call)).await.unwrap();
        assert!(response.status().is_client_error(), "{}", response.status());
        let body = response.into_body().collect().await.unwrap();
        let document: serde_json::Value = serde_json::from_slice(&body.to_bytes()).unwrap();
        document["error"]["message"].as_str().unwrap().to_owned()
    }
}

/// A call of one token for this model.
pub(super) fn of(model: &str) -> Call {
    let facts = Call::for_model(model).facts().clone();
    Call::new(CallFacts { output_cap: Some(1), ..facts })
}

/// Asserts that three calls pass and the fourth does not, for any kind of limit. Returns the calls in flight.
pub(super) async fn drive_past_three(house: &House, tenant: &Tenant, model: &str) -> Vec<Call> {
    let calls: Vec<Call> = (0..4).map(|_| of(model)).collect();
    let mut statuses = Vec::new();
    for call in &calls {
        statuses.push(house.send(tenant, call).await.0);
    }
    assert_eq!(statuses, [200, 200, 200, 429]);
    calls
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_rate_holds_in_every_scope() {
    let (team, key) = (Uuid::from_u128(1).to_string(), Uuid::from_u128(1).to_string());
    for kind in KINDS {
        for (scope, id, pattern, whose) in [
            (Scope::Organization, "", "*", "The organization's limit of "),
            (Scope::Organization, "", "sma*", "The organization's limit of "),
            (Scope::Team, &*team, "*", "Your team's limit of "),
            (Scope::User, "ada", "*", "Your limit of "),
            (Scope::Key, &*key, "*", "This key's limit of "),
            (Scope::Team, &*team, "small", "Your team's limit of "),
            (Scope::User, "ada", "small", "Your limit of "),
            (Scope::Key, &*key, "small", "This key's limit of "),
        ] {
            let house = House::new();
            house.limit(scope, id, pattern, rates(kind, 3));
            let (ada, bob) = (house.caller("ada", 1, 1), house.caller("bob", 2, 2));
            let calls = drive_past_three(&house, &ada, "small").await;
            let message = house.message(&ada, &of("small")).await;
            assert!(message.starts_with(whose), "{kind:?} {scope} {pattern}: {message}");
            assert_eq!(message.contains(&format!("for `{pattern}`")), pattern != "*", "{message}");
            // A caller outside the scope is not limited.
            let others = house.send(&bob, &of("small")).await.0;
            assert_eq!(others == 429, scope == Scope::Organization, "{kind:?} {scope} {pattern}");
            let others = house.send(&ada, &of("large")).await.0;
            assert_eq!(others == 429, pattern == "*", "{kind:?} {scope} {pattern}");
            // At its end a call gives back its unused tokens and its place.
            for call in &calls {
                call.tell_ended(&report(0));
            }
            let again = house.send(&ada, &of("small")).await.0;
            assert_eq!(again == 429, kind == Kind::Requests, "{kind:?} {scope} {pattern}");
            time::advance(Duration::from_mins(1)).await;
            assert_eq!(house.send(&ada, &of("small")).await.0, 200);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_limit_refuses_takes_nothing_from_another() {
    for kind in KINDS {
        let house = House::new();
        let wide = Rates {
            requests_per_minute: NonZeroU32::new(100),
            tokens_per_minute: NonZeroU32::new(100),
            calls_in_flight: NonZeroU32::new(100),
        };
        house.policy(wide);
        house.limit(Scope::Team, &Uuid::from_u128(1).to_string(), "*", wide);
        house.limit(Scope::User, "ada", "*", rates(kind, 3));
        house.limit(Scope::Key, Scope::EACH, "sm*", wide);
        let (ada, bob) = (house.caller("ada", 1, 1), house.caller("bob", 1, 1));
        let _open = drive_past_three(&house, &ada, "small").await;
        for _ in 0..50 {
            assert_eq!(house.send(&ada, &of("small")).await.0, 429);
        }
        let (status, headers) = house.send(&bob, &of("small")).await;
        assert_eq!(
            (status, &headers["x-ratelimit-remaining-requests"]),
            (200, &"96".parse().unwrap())
        );
        assert_eq!(headers["x-ratelimit-remaining-tokens"], "96");
        let mut passed = 0;
        while house.send(&bob, &of("small")).await.0 == 200 {
            passed += 1;
        }
        assert_eq!(passed, 96, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_are_corrected_in_every_limit_that_they_were_taken_from() {
    let house = House::new();
    house.policy(rates(Kind::Tokens, 100));
    house.limit(Scope::Organization, "", "*", rates(Kind::Tokens, 1_000));
    house.limit(Scope::Team, Scope::EACH, "*", rates(Kind::Tokens, 200));
    house.limit(Scope::User, Scope::EACH, "small", rates(Kind::Tokens, 300));
    house.limit(Scope::User, Scope::EACH, "large", rates(Kind::Tokens, 10));
    let ada = house.caller("ada", 1, 1);
    let first = call(90);
    let (_, headers) = house.send(&ada, &first).await;
    assert_eq!(headers["x-ratelimit-remaining-tokens"], "10");
    first.tell_ended(&report(40));
    // Each limit alone, with the others far from used up.
    for (scope, id, pattern, most, left) in [
        (Scope::Organization, "", "*", 1_000, "959"),
        (Scope::Team, Scope::EACH, "*", 200, "159"),
        (Scope::User, Scope::EACH, "small", 300, "259"),
    ] {
        let alone = House::of(house.id);
        alone.limit(scope, id, pattern, rates(Kind::Tokens, most));
        let layer = house.layer.clone().set(|settings| settings.policies = alone.policies.clone());
        let (_, headers) = send(&layer, &ada, &call(1)).await;
        assert_eq!(headers["x-ratelimit-remaining-tokens"], left, "{scope}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_of_a_scope_has_the_rate_on_its_own_and_whoever_has_one_of_its_own_has_that() {
    let house = House::new();
    house.limit(Scope::User, Scope::EACH, "*", rates(Kind::Requests, 1));
    house.limit(Scope::User, "ada", "*", rates(Kind::Requests, 2));
    let sent = async |user: &str| house.send(&house.caller(user, 1, 1), &of("small")).await.0;
    assert_eq!([sent("bob").await, sent("bob").await], [200, 429]);
    assert_eq!([sent("eve").await, sent("eve").await], [200, 429]);
    assert_eq!([sent("ada").await, sent("ada").await, sent("ada").await], [200, 200, 429]);
    // Without the own limit the wildcard limit applies, and usage under the own limit still counts.
    house.limit(Scope::User, "ada", "*", Rates::default());
    time::advance(Duration::from_secs(59)).await;
    assert_eq!(sent("ada").await, 429);
    time::advance(Duration::from_secs(1)).await;
    assert_eq!([sent("ada").await, sent("ada").await], [200, 429]);
}

#[tokio::test(start_paused = true)]
async fn the_limit_that_lasts_longest_is_told_and_the_tightest_is_in_the_headers() {
    let house = House::new();
    house.policy(Rates { tokens_per_minute: NonZeroU32::new(1_000), ..rates(Kind::Requests, 60) });
    house.limit(Scope::User, Scope::EACH, "*", rates(Kind::Requests, 2));
    let ada = house.caller("ada", 1, 1);
    let (_, headers) = house.send(&ada, &of("small")).await;
    for (header, value) in [
        ("limit-requests", "2"),
        ("remaining-requests", "1"),
        ("reset-requests", "30s"),
        ("limit-tokens", "1000"),
        ("remaining-tokens", "999"),
        ("reset-tokens", "60ms"),
    ] {
        assert_eq!(headers[format!("x-ratelimit-{header}")], value, "{header}");
    }
    house.limit(Scope::Team, Scope::EACH, "small", rates(Kind::InFlight, 1));
    let open = of("small");
    assert_eq!(house.send(&ada, &open).await.0, 200);
    let (status, headers) = house.send(&ada, &of("small")).await;
    assert_eq!((status, &headers["retry-after"]), (429, &"30".parse().unwrap()));
    assert!(house.message(&ada, &of("small")).await.starts_with("Your limit of requests is"));
    assert_eq!(headers["x-ratelimit-remaining-requests"], "0");
    // The end of a call in flight is not known in advance.
    let bob = house.caller("bob", 1, 1);
    let (status, headers) = house.send(&bob, &of("small")).await;
    assert_eq!((status, &headers["retry-after"]), (429, &"1".parse().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_too_large_for_one_of_its_limits_is_told_which() {
    let house = House::new();
    house.policy(rates(Kind::Tokens, 1_000));
    house.limit(Scope::Team, Scope::EACH, "small", rates(Kind::Tokens, 50));
    let ada = house.caller("ada", 1, 1);
    let message = house.message(&ada, &call(51)).await;
    assert_eq!(
        message,
        "Your team's limit of tokens for `small` a minute covers 50 at the most, and this call could use 51: it can never pass. Send less, or set a lower output cap."
    );
    let (status, headers) = house.send(&ada, &call(50)).await;
    assert_eq!((status, &headers["x-ratelimit-remaining-tokens"]), (200, &"0".parse().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn without_a_call_the_limits_of_every_model_count_and_no_others() {
    let house = House::new();
    house.limit(Scope::User, Scope::EACH, "*", rates(Kind::Requests, 2));
    house.limit(Scope::User, Scope::EACH, "small", rates(Kind::Requests, 1));
    let ada = house.caller("ada", 1, 1);
    assert_eq!(plain(&house.layer, &ada).await, 200);
    assert_eq!(plain(&house.layer, &ada).await, 200);
    assert_eq!(plain(&house.layer, &ada).await, 429);
}

#[tokio::test(start_paused = true)]
async fn the_reset_of_the_other_dialect_is_a_moment() {
    let house = House::new();
    house.limit(Scope::User, Scope::EACH, "*", rates(Kind::Requests, 1));
    house.limit(Scope::Key, Scope::EACH, "*", rates(Kind::Tokens, 100));
    let ada = house.caller("ada", 1, 1);
    let facts = CallFacts {
        endpoint: crate::domain::endpoint::Endpoint::Messages,
        ..of("small").facts().clone()
    };
    let (_, headers) = house.send(&ada, &Call::new(facts)).await;
    let mut names: Vec<_> = headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    let expected = [
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-reset",
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
    ];
    assert_eq!(names, expected);
    assert_eq!(headers["anthropic-ratelimit-tokens-limit"], "100");
    assert_eq!(headers["anthropic-ratelimit-requests-remaining"], "0");
    for header in ["requests-reset", "tokens-reset"] {
        let moment = headers[format!("anthropic-ratelimit-{header}")].to_str().unwrap();
        assert!(
            moment.starts_with("20") && moment.ends_with('Z') && moment.len() == 20,
            "{moment}"
        );
    }
}

/// A store that returns every limit twice.
struct Twice(MemoryStore);

impl PolicyStore for Twice {
    fn standing<'a>(&'a self, tenant: &'a Tenant) -> StoreFuture<'a, Standing> {
        Box::pin(async {
            let standing = self.0.standing(tenant).await?;
            let rates = [&*standing.rates, &*standing.rates].concat().into();
            Ok(Standing { rates, ..standing })
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_named_twice_counts_once() {
    for kind in KINDS {
        let house = House::new();
        house.limit(Scope::User, Scope::EACH, "*", rates(kind, 3));
        let twice = Policies::cached(Arc::new(Twice(house.store.clone())), Policies::TTL_MAX);
        let house = House { layer: LimitsLayer::new(twice), ..house };
        let ada = house.caller("ada", 1, 1);
        let mut calls = drive_past_three(&house, &ada, "small").await;
        calls.drain(..1).for_each(|call| call.tell_ended(&report(1)));
        let again = house.send(&ada, &of("small")).await.0;
        assert_eq!(again == 200, kind == Kind::InFlight, "{kind:?}");
    }
}
