//! The actions of the operator's staff.

use std::num::NonZeroU32;

use serde_json::json;
use tollgate::{
    domain::{
        credits::Credits,
        hold::Window,
        ids::{OrganizationId, PriceId},
        policy::Disconnect,
        price::{ModelPrice, Rates, Tier},
        price_file::built_in,
        scope::Scope,
    },
    store::{
        Journal, Ledger, PriceStore, StoreError,
        admin::{
            BudgetAdmin, BudgetError, Budgeted, CapChange, CreditAdmin, GrantError,
            OrganizationAdmin, PolicyAdmin, PolicyError,
        },
    },
};
use uuid::Uuid;

use super::fixture::{Fixture, Postgres, costing, hold};

#[tokio::test]
async fn a_grant_is_made_once_for_one_reference() {
    let f = Postgres::start().await;
    let id = f.organization(0).await.organization_id();
    let grant =
        |nanos, reference| f.operator.grant_credits(id, Credits::from_nanos(nanos), reference);
    let first = grant(100, Some("invoice 1")).await.unwrap();
    let again = grant(100, Some("invoice 1")).await.unwrap();
    assert_eq!((first.replayed, again.replayed, again.balance), (false, true, first.balance));
    assert!(matches!(grant(101, Some("invoice 1")).await, Err(GrantError::OtherAmount)));
    assert!(matches!(grant(0, None).await, Err(GrantError::Store(StoreError::Refused(_)))));
    grant(1, None).await.unwrap();
    assert_eq!(grant(1, None).await.unwrap().balance.posted.nanos(), 102);
    let nobody = OrganizationId::new(Uuid::now_v7());
    let unknown = f.operator.grant_credits(nobody, Credits::from_nanos(1), None).await;
    assert!(matches!(unknown, Err(GrantError::Store(StoreError::UnknownOrganization))));
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
    // The fixture has one of its own.
    assert_eq!(stored.len(), book.len() + 1);
    for price in prices() {
        let price_id = stored.get(&price.model).unwrap().price_id;
        let expected = ModelPrice { price_id, ..price.clone() };
        assert_eq!(**stored.get(&price.model).unwrap(), expected);
    }
}

#[tokio::test]
async fn budgets_are_set_shown_and_removed_and_say_how_far_they_are_used() {
    let f = Postgres::start().await;
    let ann = f.organization(1_000).await;
    let id = ann.organization_id();
    let of = |scope, scope_id| Budgeted { scope, scope_id, window: Window::Day };
    let each = of(Scope::User, Scope::EACH);
    let set = f.operator.set_budget(id, each, CapChange::To(100), CapChange::Keep).await;
    assert_eq!(set.unwrap(), (Some(100), None));
    // What is not named stays; what is lifted is gone, but not the last cap of all.
    let set = f.operator.set_budget(id, each, CapChange::Keep, CapChange::To(50)).await;
    assert_eq!(set.unwrap(), (Some(100), Some(Credits::from_nanos(50))));
    let set = f.operator.set_budget(id, each, CapChange::Lift, CapChange::Keep).await;
    assert_eq!(set.unwrap(), (None, Some(Credits::from_nanos(50))));
    let set = f.operator.set_budget(id, each, CapChange::Keep, CapChange::Lift).await;
    assert!(matches!(set, Err(BudgetError::Nothing)), "{set:?}");

    let request = hold(40, 7);
    f.store.hold(&ann, request.clone()).await.unwrap();
    f.store.finish(&ann, &costing(request.request_id, 30, 5)).await.unwrap();
    f.store.hold(&ann, hold(3, 2)).await.unwrap();
    let budgets = f.operator.budgets(id).await.unwrap();
    let [budget] = budgets.as_slice() else { panic!("{budgets:?}") };
    assert_eq!((budget.scope, budget.scope_id.as_str()), (Scope::User, "*"));
    let now = budget.now.as_ref().unwrap();
    assert_eq!((now.scope_id.as_str(), now.tokens_used, now.tokens_held), ("ann", 5, 2));
    assert_eq!((now.credits_used.nanos(), now.credits_held.nanos()), (30, 3));
    let events = f.operator.budget_events(id, NonZeroU32::new(10).unwrap()).await.unwrap();
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((event.percent, event.refused, event.used, event.cap), (50, false, 30, 50));

    assert!(f.operator.remove_budget(id, each).await.unwrap());
    assert!(!f.operator.remove_budget(id, each).await.unwrap());
    assert!(f.operator.budgets(id).await.unwrap().is_empty());
    let nobody = OrganizationId::new(Uuid::now_v7());
    let unknown = f.operator.set_budget(nobody, each, CapChange::To(1), CapChange::Keep).await;
    assert!(matches!(unknown, Err(BudgetError::Store(StoreError::UnknownOrganization))));
}
