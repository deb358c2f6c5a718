//! Rate limits, set by the operator's staff.

use std::num::NonZeroU32;

use futures_util::future::poll_fn;
use tokio::time::{Duration, timeout};
use tokio_postgres::{AsyncMessage, NoTls};
use tollgate::{
    domain::{
        credits::Credits,
        ids::{OrganizationId, PriceId},
        policy::{RateLimit, Rates},
        price::{ModelPrice, Tier},
        scope::Scope,
    },
    store::{
        PolicyStore, StoreError,
        admin::{LimitAdmin, Limited, RateChange, RateChanges, RateLimitError},
    },
};
use uuid::Uuid;

use super::fixture::{Fixture, Postgres};

const ANN: Limited<'_> = Limited { scope: Scope::User, scope_id: "ann", model_pattern: "*" };

fn to(most: u32) -> RateChange {
    RateChange::To(NonZeroU32::new(most).unwrap())
}

fn requests(change: RateChange) -> RateChanges {
    RateChanges { requests_per_minute: change, ..RateChanges::default() }
}

async fn priced(f: &Postgres, model: &str) {
    let rates = tollgate::domain::price::Rates { input: 1, output: 1, ..Default::default() };
    let price = ModelPrice {
        price_id: PriceId::new(Uuid::nil()),
        model: model.into(),
        provider: "mock".into(),
        mode: "chat".into(),
        per_request: Credits::ZERO,
        tiers: vec![Tier { from_input_tokens: 0, rates }],
        input_tokens_max: None,
        output_tokens_max: None,
    };
    f.operator.import_prices([&price]).await.unwrap();
}

#[tokio::test]
async fn a_rate_that_is_not_named_stays_and_the_last_one_cannot_be_lifted() {
    let f = Postgres::start().await;
    let id = f.organization(0).await.organization_id();
    let set = |changes| f.operator.set_rate_limit(id, ANN, changes);
    let both = RateChanges { tokens_per_minute: to(u32::MAX), ..requests(to(5)) };
    let rates = set(both).await.unwrap();
    assert_eq!(rates.requests_per_minute, NonZeroU32::new(5));
    let kept = RateChanges { calls_in_flight: to(3), ..requests(RateChange::Lift) };
    let expected = Rates {
        requests_per_minute: None,
        tokens_per_minute: NonZeroU32::new(u32::MAX),
        calls_in_flight: NonZeroU32::new(3),
    };
    assert_eq!(set(kept).await.unwrap(), expected);
    let expected = Rates { calls_in_flight: None, ..expected };
    let one_less = RateChanges { calls_in_flight: RateChange::Lift, ..RateChanges::default() };
    assert_eq!(set(one_less).await.unwrap(), expected);
    let none = RateChanges { tokens_per_minute: RateChange::Lift, ..RateChanges::default() };
    assert!(matches!(set(none).await, Err(RateLimitError::Nothing)));
    let new = Limited { scope_id: "bob", ..ANN };
    let nothing = f.operator.set_rate_limit(id, new, RateChanges::default()).await;
    assert!(matches!(nothing, Err(RateLimitError::Nothing)));
    let limit = RateLimit {
        scope: Scope::User,
        scope_id: "ann".into(),
        model_pattern: "*".into(),
        rates: expected,
    };
    assert_eq!(f.operator.rate_limits(id).await.unwrap(), [limit]);
    assert!(f.operator.remove_rate_limit(id, ANN).await.unwrap());
    assert!(!f.operator.remove_rate_limit(id, ANN).await.unwrap());
    assert_eq!(f.operator.rate_limits(id).await.unwrap(), []);
}

#[tokio::test]
async fn a_limit_of_models_that_nobody_can_call_is_refused() {
    let f = Postgres::start().await;
    let id = f.organization(0).await.organization_id();
    let set = |model_pattern| {
        f.operator.set_rate_limit(id, Limited { model_pattern, ..ANN }, requests(to(1)))
    };
    let unknown = |set: &Result<Rates, _>| matches!(set, Err(RateLimitError::UnknownModel(_)));
    assert!(set("*").await.is_ok());
    assert!(unknown(&set("gpt-4o").await));
    priced(&f, "gpt-4o-mini").await;
    for (pattern, known) in [
        ("gpt-4o-mini", true),
        ("gpt-4o-mini*", true),
        ("gpt-4o*", true),
        ("gpt-4o", false),
        ("gpt-4o-mini-2*", false),
        ("GPT-4o*", false),
        ("g%", false),
        ("%*", false),
        ("gpt_4o*", false),
        ("**", false),
    ] {
        let set = set(pattern).await;
        assert_eq!((set.is_ok(), unknown(&set)), (known, !known), "{pattern}: {set:?}");
    }
}

#[tokio::test]
async fn a_price_of_its_own_is_a_price_too_and_only_its_own() {
    let f = Postgres::start().await;
    let (id, other) = (f.organization(0).await, f.organization(0).await);
    let (id, other) = (id.organization_id(), other.organization_id());
    let (client, connection) = f.database.config().connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    let agreed = format!(
        "insert into tollgate.price_overrides (organization_id, price_id, model, per_request)
           values ('{id}', gen_random_uuid(), 'agreed', 0)"
    );
    client.batch_execute(&agreed).await.unwrap();
    let limited = Limited { model_pattern: "agr*", ..ANN };
    assert!(f.operator.set_rate_limit(id, limited, requests(to(1))).await.is_ok());
    let theirs = f.operator.set_rate_limit(other, limited, requests(to(1))).await;
    assert!(matches!(theirs, Err(RateLimitError::UnknownModel(_))));
}

#[tokio::test]
async fn limits_are_one_organizations_and_an_unknown_one_has_none() {
    let f = Postgres::start().await;
    let (id, other) = (f.organization(0).await, f.organization(0).await);
    let (id, other) = (id.organization_id(), other.organization_id());
    f.operator.set_rate_limit(id, ANN, requests(to(1))).await.unwrap();
    assert_eq!(f.operator.rate_limits(other).await.unwrap(), []);
    assert!(!f.operator.remove_rate_limit(other, ANN).await.unwrap());
    assert_eq!(f.operator.rate_limits(id).await.unwrap().len(), 1);
    let nobody = OrganizationId::new(Uuid::now_v7());
    let unknown = |error| matches!(error, Some(StoreError::UnknownOrganization));
    assert!(unknown(f.operator.rate_limits(nobody).await.err()));
    assert!(unknown(f.operator.remove_rate_limit(nobody, ANN).await.err()));
    let set = f.operator.set_rate_limit(nobody, ANN, requests(to(1))).await;
    assert!(matches!(set, Err(RateLimitError::Store(StoreError::UnknownOrganization))));
}

#[tokio::test]
async fn limits_are_listed_in_the_order_of_their_scopes_and_those_of_each_first() {
    let f = Postgres::start().await;
    let id = f.organization(0).await.organization_id();
    let team = Uuid::now_v7().to_string();
    for (scope, scope_id) in [
        (Scope::Key, Scope::EACH),
        (Scope::User, "ann"),
        (Scope::User, Scope::EACH),
        (Scope::Team, &*team),
        (Scope::Organization, ""),
    ] {
        let limited = Limited { scope, scope_id, model_pattern: "*" };
        f.operator.set_rate_limit(id, limited, requests(to(1))).await.unwrap();
    }
    let limits = f.operator.rate_limits(id).await.unwrap();
    let listed: Vec<_> =
        limits.iter().map(|limit| (limit.scope, limit.scope_id.as_str())).collect();
    let expected = [
        (Scope::Organization, ""),
        (Scope::Team, &*team),
        (Scope::User, "*"),
        (Scope::User, "ann"),
        (Scope::Key, "*"),
    ];
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn gateways_are_told_of_a_change_and_of_nothing_else() {
    let f = Postgres::start().await;
    let id = f.organization(0).await.organization_id();
    let (client, mut connection) = f.database.config().connect(NoTls).await.unwrap();
    let (tell, mut told) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notification(notice) = message {
                tell.send((notice.channel().to_owned(), notice.payload().to_owned()))
                    .await
                    .unwrap();
            }
        }
    });
    client.batch_execute("listen tollgate_policy").await.unwrap();
    let wrong = Limited { model_pattern: "nothing", ..ANN };
    assert!(f.operator.set_rate_limit(id, wrong, requests(to(1))).await.is_err());
    assert!(!f.operator.remove_rate_limit(id, ANN).await.unwrap());
    f.operator.set_rate_limit(id, ANN, requests(to(1))).await.unwrap();
    assert!(f.operator.remove_rate_limit(id, ANN).await.unwrap());
    for _ in 0..2 {
        let notice = timeout(Duration::from_secs(30), told.recv()).await.unwrap().unwrap();
        assert_eq!(notice, ("tollgate_policy".to_owned(), id.to_string()));
    }
    client.batch_execute("notify tollgate_policy, 'end'").await.unwrap();
    assert_eq!(told.recv().await.unwrap().1, "end");
}

#[tokio::test]
async fn a_figure_beyond_what_can_be_counted_is_no_reason_to_refuse_every_call() {
    let f = Postgres::start().await;
    let ann = f.organization(0).await;
    let id = ann.organization_id();
    let (client, connection) = f.database.config().connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    let row = format!(
        "insert into tollgate.rate_limits (organization_id, scope, scope_id, tokens_per_minute)
           values ('{id}', 'user', '*', 9223372036854775807)"
    );
    client.batch_execute(&row).await.unwrap();
    let standing = f.store.standing(&ann).await.unwrap();
    assert_eq!(standing.rates[0].rates.tokens_per_minute, NonZeroU32::new(u32::MAX));
    let shown = f.operator.rate_limits(id).await.unwrap();
    assert_eq!(shown[0].rates, standing.rates[0].rates);
}
