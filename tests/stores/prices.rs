//! New prices: imported as a whole or not at all, in force from their moment on, and for the right organization.

use std::sync::Arc;

use tollgate::{
    Tenant,
    domain::{
        credits::Credits,
        finish::Finish,
        ids::PriceId,
        instant::{Moment, rfc3339_micros},
        price::{ModelPrice, Quote},
        price_file::{Format, PriceFile, SkipReason, Skipped},
        price_review::Reason,
        usage::Usage,
    },
    store::{
        Journal, Ledger, PriceStore, Prices, StoreError,
        admin::{
            AgreementAdmin, AgreementError, Begins, Import, ImportError, ImportOptions, PriceAdmin,
        },
    },
};

use super::{
    fixture::{Fixture, Postgres, costing, hold},
    suite::price,
};

fn file(prices: &[ModelPrice]) -> PriceFile {
    PriceFile { prices: prices.to_vec(), skipped: Vec::new() }
}

/// The fixture's own price is none of these files' business.
fn part() -> ImportOptions {
    ImportOptions { part: true, ..ImportOptions::default() }
}

async fn import(f: &Postgres, prices: &[ModelPrice], options: &ImportOptions) -> Import {
    f.operator.import_price_file(&file(prices), options).await.unwrap()
}

fn models_of(import: &Import) -> Vec<&str> {
    import.review.objections.iter().map(|objection| objection.model.as_str()).collect()
}

/// Everything there is in force, rows and all.
async fn in_force(f: &Postgres) -> Vec<Arc<ModelPrice>> {
    let book = f.store.price_book().await.unwrap();
    let mut prices: Vec<_> = book.iter().cloned().collect();
    prices.sort_by(|one, other| one.model.cmp(&other.model));
    prices
}

async fn now(f: &Postgres) -> i64 {
    let sql = "select (extract(epoch from clock_timestamp()) * 1000000)::bigint";
    f.database.connect().await.unwrap().query_one(sql, &[]).await.unwrap().get(0)
}

async fn in_an_hour(f: &Postgres) -> Moment {
    rfc3339_micros(now(f).await + 3_600_000_000).parse().unwrap()
}

/// Lets an hour go by for everything that was put off until then.
async fn an_hour_later(f: &Postgres) {
    let sql = "with begun as (
          update tollgate.prices set effective_from = now() where effective_from > now()
            returning price_id, effective_from)
          update tollgate.price_tiers t set effective_from = begun.effective_from from begun where t.price_id = begun.price_id;
        update tollgate.price_overrides set effective_from = now() where effective_from > now();
        update tollgate.price_markups set effective_from = now() where effective_from > now()";
    f.database.connect().await.unwrap().batch_execute(sql).await.unwrap();
}

#[tokio::test]
async fn a_file_with_one_mistake_changes_no_price_at_all() {
    let f = Postgres::start().await;
    import(&f, &[price("a", 100), price("b", 100)], &part()).await;
    let before = in_force(&f).await;
    // One price that jumps, beside two that are fine.
    let jumps = [price("a", 110), price("b", 1_001), price("c", 5)];
    let refused = import(&f, &jumps, &part()).await;
    assert_eq!((refused.added, models_of(&refused)), (None, vec!["b"]));
    assert_eq!(in_force(&f).await, before);
    // Looked at only.
    let looked = ImportOptions { dry_run: true, ..part() };
    let looked = import(&f, &[price("a", 110)], &looked).await;
    assert_eq!((looked.added, looked.review.changes.len()), (None, 1));
    assert_eq!(in_force(&f).await, before);
    // Meant.
    let meant = ImportOptions { accept_jumps: true, ..part() };
    assert_eq!(import(&f, &jumps, &meant).await.added, Some(3));
    assert_eq!(in_force(&f).await.len(), before.len() + 1);
}

#[tokio::test]
async fn malformed_negative_and_zero_prices_leave_those_in_force() {
    let f = Postgres::start().await;
    let before = in_force(&f).await;
    let fields = |rates: &str| {
        format!(
            r#"{{"tollgate_prices":1,"models":{{"ok":{{"usd_per_million_tokens":{{"input":1,"output":1}}}},"bad":{{"usd_per_million_tokens":{rates}}}}}}}"#
        )
    };
    for (text, format) in [
        (fields(r#"{"input":-1,"output":1}"#), Format::Tollgate),
        (fields(r#"{"input":0,"output":1}"#), Format::Tollgate),
        (fields(r#"{"input":1e-10,"output":1}"#), Format::Tollgate),
        (fields(r#"{"input":99999999999999999999,"output":1}"#), Format::Tollgate),
        (fields(r#"{"input":1,"input":2,"output":1}"#), Format::Tollgate),
        (fields(r#"{"input":1,"output":1"#), Format::Tollgate),
        (
            r#"{"m":{"mode":"chat","input_cost_per_token":"-1","output_cost_per_token":1}}"#.into(),
            Format::LiteLlm,
        ),
        (r#"{"m":{"mode":"chat","input_cost_per_token":1e-6"#.into(), Format::LiteLlm),
    ] {
        assert!(PriceFile::read(text.as_bytes(), format).is_err(), "{text}");
    }
    // What goes round the file's reader, the database itself refuses.
    for wrong in
        [price("bad", -1), ModelPrice { per_request: Credits::from_nanos(-1), ..price("bad", 1) }]
    {
        let refused = f.operator.import_prices(&[price("ok", 1), wrong]).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    }
    // A zero of LiteLLM's is skipped: the model stays unknown, and unknown models are refused.
    let zero = br#"{"zero":{"mode":"chat","input_cost_per_token":0,"output_cost_per_token":0}}"#;
    let zero = PriceFile::read(zero, Format::LiteLlm).unwrap();
    assert_eq!(zero.skipped, [Skipped { model: "zero".into(), reason: SkipReason::Zero }]);
    assert_eq!(f.operator.import_price_file(&zero, &part()).await.unwrap().added, Some(0));
    assert_eq!(in_force(&f).await, before);
}

#[tokio::test]
async fn a_model_in_use_keeps_its_price_when_a_file_leaves_it_out() {
    let f = Postgres::start().await;
    import(&f, &[price("idle", 1)], &part()).await;
    let ann = f.organization(100).await;
    let request = hold(10, 1);
    f.store.hold(&ann, request.clone()).await.unwrap();
    f.store.finish(&ann, &costing(request.request_id, 5, 1)).await.unwrap();
    let before = in_force(&f).await;

    let whole = ImportOptions::default();
    let refused = import(&f, &[price("new", 1)], &whole).await;
    assert_eq!((refused.added, models_of(&refused)), (None, vec!["small"]));
    assert_eq!(refused.review.objections[0].reason, Reason::InUse { skipped: None });
    assert_eq!(in_force(&f).await, before);
    // Named without a price, it is refused even where the file is a part.
    let mut zeroed = file(&[price("new", 1)]);
    zeroed.skipped.push(Skipped { model: "small".into(), reason: SkipReason::Zero });
    let refused = f.operator.import_price_file(&zeroed, &part()).await.unwrap();
    assert_eq!((refused.added, models_of(&refused)), (None, vec!["small"]));
    // A call of long ago is no use.
    let admin = f.database.connect().await.unwrap();
    admin
        .batch_execute("update tollgate.usage set arrived_at = arrived_at - interval '31 days'")
        .await
        .unwrap();
    let taken = import(&f, &[price("new", 1)], &whole).await;
    assert_eq!((taken.added, taken.review.missing.len()), (Some(1), 2));
    // And what is left out keeps its price.
    assert!(f.store.price_book().await.unwrap().get("idle").is_some());
}

#[tokio::test]
async fn two_files_at_once_are_judged_one_after_the_other() {
    let f = Postgres::start().await;
    for round in 0..8_i64 {
        let model = format!("m{round}");
        import(&f, &[price(&model, 10)], &part()).await;
        // Ten times each: the second one may only come after the first.
        let (near, far) = ([price(&model, 100)], [price(&model, 1_000)]);
        let options = part();
        let (one, two) = tokio::join!(import(&f, &near, &options), import(&f, &far, &options));
        assert_eq!((one.added.is_some(), two.review.changes.len()), (true, 1));
        let admin = f.database.connect().await.unwrap();
        let sql = "select input from tollgate.prices join tollgate.price_tiers using (price_id, effective_from) where model = $1 \
            order by effective_from, created_at";
        let rows = admin.query(sql, &[&model]).await.unwrap();
        let history: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        let expected = if two.added.is_some() { vec![10, 100, 1_000] } else { vec![10, 100] };
        assert_eq!(history, expected);
    }
}

#[tokio::test]
async fn a_price_of_tomorrow_comes_into_force_by_itself() {
    let f = Postgres::start().await;
    import(&f, &[price("a", 10)], &part()).await;
    let prices = Prices::new(f.store.price_book().await.unwrap());
    let later = ImportOptions { effective_from: Some(in_an_hour(&f).await), ..part() };
    let dearer = [price("a", 20), price("b", 5)];
    assert_eq!(import(&f, &dearer, &later).await.added, Some(2));
    // Once more is nothing new.
    assert_eq!(import(&f, &dearer, &later).await.added, Some(0));
    let input = |prices: &Prices| {
        let price = prices.current().get("a").cloned();
        price.map(|price| price.tiers[0].rates.input)
    };
    prices.refresh(&f.store).await.unwrap();
    assert_eq!((input(&prices), prices.current().get("b").is_none()), (Some(10), true));
    let to_come = f.operator.scheduled_prices(None).await.unwrap();
    assert_eq!(to_come.len(), 2);
    assert_eq!(f.operator.scheduled_prices(Some("b")).await.unwrap()[0].price.model, "b");
    // The same prices from now on are a version of their own.
    assert_eq!(import(&f, &[price("b", 5)], &part()).await.added, Some(1));
    // What comes later is held against what will be in force by then.
    let after = ImportOptions {
        effective_from: Some(rfc3339_micros(now(&f).await + 7_200_000_000).parse().unwrap()),
        ..part()
    };
    let looked =
        import(&f, &[price("a", 200)], &ImportOptions { dry_run: true, ..after.clone() }).await;
    assert_eq!(looked.review.changes[0].before.as_ref().unwrap().tiers[0].rates.input, 20);
    assert!(models_of(&import(&f, &[price("a", 201)], &after).await).contains(&"a"));

    an_hour_later(&f).await;
    assert_eq!(input(&prices), Some(10));
    prices.refresh(&f.store).await.unwrap();
    assert_eq!((input(&prices), prices.current().get("b").is_some()), (Some(20), true));
    assert!(f.operator.scheduled_prices(None).await.unwrap().is_empty());
}

#[tokio::test]
async fn of_several_imports_for_one_moment_the_last_one_stands() {
    let f = Postgres::start().await;
    import(&f, &[price("a", 10)], &part()).await;
    let at = ImportOptions { effective_from: Some(in_an_hour(&f).await), ..part() };
    // Neither the dearest nor the cheapest comes last or first.
    for input in [20, 40, 15, 30] {
        assert_eq!(import(&f, &[price("a", input)], &at).await.added, Some(1));
    }
    // One moment for all four of them, as before.
    an_hour_later(&f).await;
    let book = f.store.price_book().await.unwrap();
    assert_eq!(book.get("a").unwrap().tiers[0].rates.input, 30);
}

#[tokio::test]
async fn nothing_begins_in_the_past() {
    let f = Postgres::start().await;
    let ann = f.organization(0).await.organization_id();
    let past: Moment = "2026-01-01".parse().unwrap();
    let options = ImportOptions { effective_from: Some(past.clone()), ..part() };
    let refused = f.operator.import_price_file(&file(&[price("a", 1)]), &options).await;
    assert!(matches!(refused, Err(ImportError::Past)), "{refused:?}");
    let agreed = f.operator.agree_prices(ann, &[price("a", 1)], Some(&past)).await;
    assert_eq!(agreed.unwrap(), Begins::Past);
    assert_eq!(f.operator.set_markup(ann, 1, Some(&past)).await.unwrap(), Begins::Past);
    assert_eq!(f.operator.withdraw_price(ann, "a", Some(&past)).await.unwrap(), Begins::Past);
    assert!(f.operator.agreement(ann, None).await.unwrap().agreed().next().is_none());
}

/// What a million input tokens cost this tenant now.
async fn million(f: &Postgres, tenant: &Tenant, model: &str) -> Option<i64> {
    let agreement = f.store.agreement(tenant).await.unwrap();
    let quote = agreement.quote(&f.store.price_book().await.unwrap(), model)?;
    let usage = Usage { input: 1_000_000, ..Usage::default() };
    Some(quote.cost(&usage).unwrap().nanos())
}

#[tokio::test]
async fn an_agreed_price_takes_the_place_of_the_list_until_it_ends() {
    let f = Postgres::start().await;
    import(&f, &[price("a", 1_000), price("b", 1_000)], &part()).await;
    let (ann, bob) = (f.organization(0).await, f.organization(0).await);
    let id = ann.organization_id();
    f.operator.set_markup(id, 500, None).await.unwrap();
    assert_eq!(million(&f, &ann, "a").await, Some(1_050));
    f.operator.agree_prices(id, &[price("a", 800), price("private", 3)], None).await.unwrap();
    assert_eq!(million(&f, &ann, "a").await, Some(800));
    assert_eq!(million(&f, &ann, "b").await, Some(1_050));
    // A model of their own, which nobody else has.
    assert_eq!(
        (million(&f, &ann, "private").await, million(&f, &bob, "private").await),
        (Some(3), None)
    );
    assert_eq!(million(&f, &bob, "a").await, Some(1_000));

    // Two versions to come: a newer price, and then the list's again.
    let hour = in_an_hour(&f).await;
    f.operator.agree_prices(id, &[price("a", 700)], Some(&hour)).await.unwrap();
    f.operator.set_markup(id, 1_000, Some(&hour)).await.unwrap();
    let twice = f.operator.agree_prices(id, &[price("a", 600)], Some(&hour)).await;
    assert!(matches!(twice, Err(AgreementError::SameMoment)), "{twice:?}");
    assert_eq!(million(&f, &ann, "a").await, Some(800));
    let then = f.operator.agreement(id, Some(hour.as_str())).await.unwrap();
    assert_eq!(then.markup_bps(), 1_000);
    an_hour_later(&f).await;
    assert_eq!(
        (million(&f, &ann, "a").await, million(&f, &ann, "b").await),
        (Some(700), Some(1_100))
    );
    f.operator.withdraw_price(id, "a", None).await.unwrap();
    assert_eq!(million(&f, &ann, "a").await, Some(1_100));
    f.operator.withdraw_price(id, "private", None).await.unwrap();
    assert_eq!(million(&f, &ann, "private").await, None);
    assert_eq!(million(&f, &bob, "a").await, Some(1_000));
}

#[tokio::test]
async fn an_agreement_begins_at_midnight_where_the_organization_is() {
    let f = Postgres::start().await;
    let id = f.organization(0).await.organization_id();
    f.set_time_zone(id, "Europe/Berlin").await;
    // Far ahead, in Berlin's summer.
    let day: Moment = "2099-07-01".parse().unwrap();
    let begins = f.operator.set_markup(id, 1, Some(&day)).await.unwrap();
    let Begins::AtMicros(at) = begins else { panic!("{begins:?}") };
    assert_eq!(rfc3339_micros(at), "2099-06-30T22:00:00Z");
}

#[tokio::test]
async fn what_is_agreed_is_nobody_elses_business() {
    let f = Postgres::start().await;
    let (ann, bob) = (f.organization(0).await, f.organization(0).await);
    f.operator.agree_prices(ann.organization_id(), &[price("a", 1)], None).await.unwrap();
    // Whoever asks for another organization than the claims name gets nothing.
    let client = f.database.connect().await.unwrap();
    client.batch_execute("set session authorization tollgate_login").await.unwrap();
    let sql = "select model from tollgate.agreement($1, $2, null)";
    let asked = client.query(sql, &[&ann.organization_id().as_uuid(), &bob.claims()]).await;
    assert_eq!(asked.unwrap_err().code().unwrap().code(), "42501");
    assert!(f.store.agreement(&bob).await.unwrap().agreed().next().is_none());
    // The markup is bounded, and cannot be a rebate by accident.
    let beyond = f.operator.set_markup(ann.organization_id(), 1_000_001, None).await;
    assert!(matches!(beyond, Err(AgreementError::Store(StoreError::Refused(_)))), "{beyond:?}");
}

#[tokio::test]
async fn an_agreed_price_is_what_the_settlement_names() {
    let f = Postgres::start().await;
    let ann = f.organization(1_000_000_000).await;
    let id = ann.organization_id();
    f.operator.agree_prices(id, &[price("small", 2_000_000)], None).await.unwrap();
    let agreement = f.store.agreement(&ann).await.unwrap();
    let quote: Quote = agreement.quote(&f.store.price_book().await.unwrap(), "small").unwrap();
    assert_ne!(quote.price_id(), PriceId::new(uuid::Uuid::nil()));
    let request = hold(500, 10);
    f.store.hold(&ann, request.clone()).await.unwrap();
    let mut finish = Finish::clone(&costing(request.request_id, 10, 10));
    let settlement = finish.settlement.as_mut().unwrap();
    settlement.price_id = quote.price_id();
    settlement.amount = quote.cost(&finish.usage).unwrap();
    assert_eq!(settlement.amount.nanos(), 20);
    f.store.finish(&ann, &Arc::new(finish)).await.unwrap();
    assert_eq!(f.books(&ann).await, (999_999_980, 0, 0));
}
