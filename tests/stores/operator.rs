//! What the operator's staff does.

use serde_json::json;
use tollgate::{
    domain::{
        credits::Credits,
        ids::{OrganizationId, PriceId},
        policy::Disconnect,
        price::{ModelPrice, Rates, Tier},
        price_file::built_in,
    },
    postgres::operator::PolicyError,
    store::{PriceStore, StoreError},
};
use uuid::Uuid;

use crate::fixture::{Fixture, Postgres};

#[tokio::test]
async fn a_grant_is_made_once_for_one_reference() {
    let f = Postgres::start().await;
    let id = f.organization(0).await.organization_id();
    let grant =
        |nanos, reference| f.operator.grant_credits(id, Credits::from_nanos(nanos), reference);
    let first = grant(100, Some("invoice 1")).await.unwrap();
    let again = grant(100, Some("invoice 1")).await.unwrap();
    assert_eq!((first.replayed, again.replayed, again.balance), (false, true, first.balance));
    assert!(matches!(grant(101, Some("invoice 1")).await, Err(StoreError::Refused(_))));
    assert!(matches!(grant(0, None).await, Err(StoreError::Refused(_))));
    grant(1, None).await.unwrap();
    assert_eq!(grant(1, None).await.unwrap().balance.posted.nanos(), 102);
    let nobody = OrganizationId::new(Uuid::now_v7());
    let unknown = f.operator.grant_credits(nobody, Credits::from_nanos(1), None).await;
    assert!(matches!(unknown, Err(StoreError::UnknownOrganization)));
}

#[tokio::test]
async fn a_merge_patch_changes_what_it_names_and_nothing_else() {
    let f = Postgres::start().await;
    let id = f.organization(0).await.organization_id();
    let patch =
        json!({"budgets": {"daily_tokens": 10, "monthly_tokens": 20}, "disconnect": "cancel"});
    f.operator.patch_policy(id, &patch).await.unwrap();
    let patched =
        f.operator.patch_policy(id, &json!({"budgets": {"daily_tokens": null}})).await.unwrap();
    assert_eq!((patched.budgets.daily_tokens, patched.budgets.monthly_tokens), (None, Some(20)));
    assert_eq!(patched.disconnect, Disconnect::Cancel);
    assert_eq!(f.operator.organization(id).await.unwrap().policy, patched);
    for wrong in [json!({"budget": {}}), json!(7)] {
        let refused = f.operator.patch_policy(id, &wrong).await;
        assert!(matches!(refused, Err(PolicyError::Invalid(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn an_organization_is_created_once_and_with_a_time_zone_that_there_is() {
    let f = Postgres::start().await;
    let id = f.organization(0).await.organization_id();
    assert!(!f.operator.create_organization(id, "Other", "UTC").await.unwrap());
    assert_eq!(f.operator.organization(id).await.unwrap().name, "Test");
    let other = OrganizationId::new(Uuid::now_v7());
    let refused = f.operator.create_organization(other, "Nowhere", "Atlantis/Centre").await;
    assert!(matches!(refused, Err(StoreError::Refused(_))));
    let unknown = f.operator.organization(other).await;
    assert!(matches!(unknown, Err(StoreError::UnknownOrganization)));
}

fn price(model: &str, input: i64) -> ModelPrice {
    let rates = Rates { input, output: 2, ..Rates::default() };
    ModelPrice {
        price_id: PriceId::new(Uuid::nil()),
        model: model.into(),
        provider: "mock".into(),
        mode: "chat".into(),
        per_request: Credits::ZERO,
        tiers: vec![
            Tier { from_input_tokens: 0, rates },
            Tier { from_input_tokens: 200_000, rates: Rates { input: 9, ..rates } },
        ],
        input_tokens_max: Some(1_000_000),
        output_tokens_max: None,
    }
}

#[tokio::test]
async fn an_import_adds_a_version_only_where_a_price_changed() {
    let f = Postgres::start().await;
    let prices = [price("small", 1), price("large", 5)];
    // Two at once add each price once.
    let (one, two) =
        tokio::join!(f.operator.import_prices(&prices), f.operator.import_prices(&prices));
    assert_eq!(one.unwrap() + two.unwrap(), 2);
    let first = f.store.price_book().await.unwrap();
    assert_eq!(f.operator.import_prices(&[price("small", 3), price("large", 5)]).await.unwrap(), 1);
    let second = f.store.price_book().await.unwrap();
    assert_eq!(first.get("large"), second.get("large"));
    let small = second.get("small").unwrap();
    assert_ne!(small.price_id, first.get("small").unwrap().price_id);
    let expected = ModelPrice { price_id: small.price_id, ..price("small", 3) };
    assert_eq!(**small, expected);
    // Back to the old price is a version of its own.
    assert_eq!(f.operator.import_prices(&prices).await.unwrap(), 1);
    let third = f.store.price_book().await.unwrap();
    assert_ne!(third.get("small").unwrap().price_id, first.get("small").unwrap().price_id);
    assert_eq!(third.get("small").unwrap().tiers, first.get("small").unwrap().tiers);
    assert!(f.operator.import_prices(&[price("small", -1)]).await.is_err());
}

#[tokio::test]
async fn the_built_in_prices_read_back_as_they_were_imported() {
    let f = Postgres::start().await;
    let book = built_in().book();
    let prices = || book.iter().map(|price| &**price);
    let imported = f.operator.import_prices(prices()).await.unwrap();
    assert_eq!(usize::try_from(imported).unwrap(), book.len());
    assert_eq!(f.operator.import_prices(prices()).await.unwrap(), 0);
    let stored = f.store.price_book().await.unwrap();
    assert_eq!(stored.len(), book.len());
    for price in prices() {
        let price_id = stored.get(&price.model).unwrap().price_id;
        let expected = ModelPrice { price_id, ..price.clone() };
        assert_eq!(**stored.get(&price.model).unwrap(), expected);
    }
}
