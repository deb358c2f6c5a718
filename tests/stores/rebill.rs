//! Bills recomputed by two independent implementations: the one in SQL and the one in Rust.

use std::sync::Arc;

use tollgate::{
    Tenant,
    domain::{
        credits::Credits,
        finish::{Finish, Settlement},
        ids::{PriceId, RequestId},
        instant::{Moment, rfc3339_micros},
        price::{MARKUP_BPS_MAX, ModelPrice, Quote, Rates, Tier},
        usage::Usage,
    },
    store::{
        Journal, Ledger, PriceStore,
        admin::{AgreementAdmin, BillAdmin, BookAdmin, OtherPrices, Rebill, RebillWindow},
    },
};
use uuid::Uuid;

use super::{
    fixture::{Fixture, Postgres, costing, hold, releasing},
    fuzz::Dice,
    suite::price,
};

/// A call of this tenant, by what it pays now.
async fn call(f: &Postgres, tenant: &Tenant, model: &str, usage: Usage) -> RequestId {
    let agreement = f.store.agreement(tenant).await.unwrap();
    let quote = agreement.quote(&f.store.price_book().await.unwrap(), model).unwrap();
    let cost = quote.cost(&usage).unwrap();
    let request = hold(cost.nanos(), 0);
    f.store.hold(tenant, request.clone()).await.unwrap();
    let finish = Finish {
        model: model.into(),
        usage,
        settlement: Some(Settlement {
            amount: cost,
            tokens: 0,
            price_id: quote.price_id(),
            markup_bps: quote.markup_bps(),
            release: false,
        }),
        ..Finish::clone(&costing(request.request_id, 0, 0))
    };
    f.store.finish(tenant, &Arc::new(finish)).await.unwrap();
    request.request_id
}

fn all() -> RebillWindow {
    RebillWindow { from: "2026-01-01".parse().unwrap(), until: None }
}

async fn rebill(f: &Postgres, tenant: &Tenant, other: OtherPrices) -> Rebill {
    f.operator.rebill(tenant.organization_id(), &all(), &other).await.unwrap()
}

async fn broken(f: &Postgres, tenant: &Tenant) -> Vec<String> {
    f.operator.books(tenant.organization_id()).await.unwrap().broken
}

fn input(input: u64) -> Usage {
    Usage { input, ..Usage::default() }
}

async fn moment(f: &Postgres) -> Moment {
    let sql = "select (extract(epoch from clock_timestamp()) * 1000000)::bigint";
    let admin = f.database.connect().await.unwrap();
    rfc3339_micros(admin.query_one(sql, &[]).await.unwrap().get(0)).parse().unwrap()
}

#[tokio::test]
async fn a_window_with_every_kind_of_change_in_it_comes_to_what_was_charged() {
    let f = Postgres::start().await;
    let ann = f.organization(1_000_000_000).await;
    let id = ann.organization_id();
    let per_token = |model: &str, nanos: i64| price(model, nanos * 1_000_000);
    f.operator.import_prices(&[per_token("a", 10), per_token("b", 100)]).await.unwrap();
    call(&f, &ann, "a", input(7)).await;
    let before = moment(&f).await;
    // The price changes, then a mark-up comes, then an agreed price, then it ends.
    f.operator.import_prices(&[per_token("a", 20)]).await.unwrap();
    call(&f, &ann, "a", input(7)).await;
    f.operator.set_markup(id, 1_000, None).await.unwrap();
    call(&f, &ann, "a", input(7)).await;
    call(&f, &ann, "b", input(1)).await;
    f.operator.agree_prices(id, &[per_token("a", 1)], None).await.unwrap();
    call(&f, &ann, "a", input(7)).await;
    f.operator.withdraw_price(id, "a", None).await.unwrap();
    call(&f, &ann, "a", input(7)).await;
    let charged = 70 + 140 + 154 + 110 + 7 + 154;

    let bill = rebill(&f, &ann, OtherPrices::Current).await;
    assert!(bill.holds(), "{bill:?}");
    assert_eq!((bill.total.calls, bill.total.charged.nanos()), (6, charged));
    assert_eq!(bill.total.recomputed, bill.total.charged);
    // By the prices of now: 20 and 100 with a tenth on them.
    assert_eq!(bill.total.other.nanos(), 5 * 154 + 110);
    assert_eq!(bill.models["a"].calls, 5);
    // And by those of before all that.
    let bill = rebill(&f, &ann, OtherPrices::At(before)).await;
    assert_eq!((bill.total.other.nanos(), bill.total.unpriced), (5 * 70 + 100, 0));
    let long_ago = rebill(&f, &ann, OtherPrices::At("1999-01-01".parse().unwrap())).await;
    assert_eq!((long_ago.total.other.nanos(), long_ago.total.unpriced), (0, 6));
    assert_eq!(f.books(&ann).await.0, 1_000_000_000 - charged);
}

#[tokio::test]
async fn a_call_that_was_charged_something_else_is_named_by_both_ways_of_reckoning() {
    let f = Postgres::start().await;
    let admin = f.database.connect().await.unwrap();
    f.operator.import_prices(&[price("a", 10_000_000)]).await.unwrap();
    for change in [
        "update tollgate.usage set cost = cost + 1 where request_id = $1",
        "update tollgate.usage set input_tokens = input_tokens + 1 where request_id = $1",
        "update tollgate.usage set cached_read_tokens = 1, input_tokens = input_tokens - 1 where request_id = $1",
        "update tollgate.usage set markup_bps = 1 where request_id = $1",
        "update tollgate.usage set price_id = '00000000-0000-0000-0000-000000000000' where request_id = $1",
        "update tollgate.usage set price_id = gen_random_uuid() where request_id = $1",
        "update tollgate.usage set clamped = true, cost = cost - 1 where request_id = $1",
    ] {
        let ann = f.organization(1_000).await;
        call(&f, &ann, "a", input(5)).await;
        let request = call(&f, &ann, "a", input(7)).await;
        assert_eq!(broken(&f, &ann).await, Vec::<String>::new());
        assert_eq!(admin.execute(change, &[&request.as_uuid()]).await.unwrap(), 1);
        let findings = broken(&f, &ann).await;
        assert!(!findings.is_empty(), "{change}");
        assert!(findings.iter().all(|one| one.contains(&request.to_string())), "{findings:?}");
        let bill = rebill(&f, &ann, OtherPrices::None).await;
        assert_eq!((bill.differences_count, bill.differences.len()), (1, 1), "{change}");
        assert_eq!(bill.differences[0].request_id, request);
    }
    // What the ledger took is held against it too.
    let ann = f.organization(1_000).await;
    let request = call(&f, &ann, "a", input(7)).await;
    let less = "update tollgate.credit_holds set charged = charged - 1, refund = refund where request_id = $1";
    admin.execute(less, &[&request.as_uuid()]).await.unwrap();
    let bill = rebill(&f, &ann, OtherPrices::None).await;
    assert_eq!(bill.differences[0].charged, Some(Credits::from_nanos(69)));
    assert!(!broken(&f, &ann).await.is_empty());
    // A cost without a price is none of anybody's.
    let bob = f.organization(1_000).await;
    let request = call(&f, &bob, "a", input(7)).await;
    let nameless = "update tollgate.usage set price_id = null where request_id = $1";
    admin.execute(nameless, &[&request.as_uuid()]).await.unwrap();
    let named = format!("usage {request} costs 70 and names no price");
    assert_eq!(broken(&f, &bob).await, [named]);
}

#[tokio::test]
async fn what_was_given_back_or_clamped_or_late_is_no_difference() {
    let f = Postgres::start().await;
    let ann = f.organization(1_000).await;
    // A price by the request, which what is given back does not owe.
    let sql = "update tollgate.prices set per_request = 3 where price_id = '00000000-0000-0000-0000-000000000000'";
    let admin = f.database.connect().await.unwrap();
    admin.batch_execute(sql).await.unwrap();
    let released = hold(10, 1);
    f.store.hold(&ann, released.clone()).await.unwrap();
    f.store.finish(&ann, &releasing(released.request_id)).await.unwrap();
    // Absurd figures: what was held is what is charged.
    let clamped = hold(40, 1);
    f.store.hold(&ann, clamped.clone()).await.unwrap();
    let mut finish = Finish::clone(&costing(clamped.request_id, 40, 1));
    finish.clamped = true;
    finish.usage.output = 1 << 50;
    f.store.finish(&ann, &Arc::new(finish)).await.unwrap();
    // A hold that a crash lost, and one that expired before its end came.
    let mut overdue = hold(20, 1);
    overdue.ttl = std::time::Duration::ZERO;
    f.store.hold(&ann, overdue.clone()).await.unwrap();
    f.store.expire(ann.organization_id()).await.unwrap();
    for request in [overdue.request_id, hold(0, 0).request_id] {
        let mut late = Finish::clone(&costing(request, 17, 1));
        if let Some(settlement) = &mut late.settlement {
            settlement.amount = Credits::from_nanos(20);
        }
        f.store.finish(&ann, &Arc::new(late)).await.unwrap();
    }
    assert_eq!(f.books(&ann).await, (1_000 - 40 - 20 - 20, 0, 0));
    let bill = rebill(&f, &ann, OtherPrices::Current).await;
    assert!(bill.holds(), "{bill:?}");
    assert_eq!((bill.total.calls, bill.total.clamped, bill.total.charged.nanos()), (4, 1, 80));
}

#[tokio::test]
async fn a_window_has_the_calls_that_arrived_in_it_and_each_once() {
    let f = Postgres::start().await;
    let (ann, admin) = (f.organization(0).await, f.database.connect().await.unwrap());
    f.set_time_zone(ann.organization_id(), "Europe/Berlin").await;
    // More than two slices, many of them in one and the same millisecond.
    let sql = "insert into tollgate.usage (organization_id, arrived_at, request_id, user_id, endpoint, model, stream, ending, status,
          input_tokens, cached_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens,
          estimated, clamped, cost, price_id, latency_ms)
        select $1, timestamptz '2026-03-01 00:00:00+01' + n / 1500 * interval '10 days', gen_random_uuid(), 'ann', 'messages', 'small', false,
               'complete', 200, n, 0, 0, 0, 0, 0, false, false, n, '00000000-0000-0000-0000-000000000000', 1
          from generate_series(0, 5999) as n";
    admin.execute(sql, &[&ann.organization_id().as_uuid()]).await.unwrap();
    let holds = "insert into tollgate.credit_holds (organization_id, request_id, amount, tokens, day, month, status, charged, refund, expires_at)
        select organization_id, request_id, cost, 0, '2026-03-01', '2026-03-01', 'settled', cost, 0, now() from tollgate.usage";
    admin.batch_execute(holds).await.unwrap();
    let bill = async |from: &str, until: &str| {
        let (from, until) = (from.parse().unwrap(), Some(until.parse().unwrap()));
        let window = RebillWindow { from, until };
        let bill = f.operator.rebill(ann.organization_id(), &window, &OtherPrices::None).await;
        let bill = bill.unwrap();
        assert!(bill.holds(), "{:?}", bill.differences);
        bill.total
    };
    // Berlin's midnight, on both sides of a change of its clocks on the 29th.
    assert_eq!(bill("2026-03-01", "2026-04-01").await.calls, 6_000);
    assert_eq!(bill("2026-03-01", "2026-03-31").await.calls, 4_500);
    assert_eq!(bill("2026-03-02", "2026-03-31").await.calls, 3_000);
    assert_eq!(bill("2026-03-31", "2026-04-01").await.calls, 1_500);
    assert_eq!(bill("2026-02-28T23:00:00Z", "2026-02-28T23:00:00.000001Z").await.calls, 1_500);
    assert_eq!(bill("2026-02-01", "2026-03-01").await.calls, 0);
    let whole = bill("2026-03-01", "2026-04-01").await;
    assert_eq!(whole.charged.nanos(), (0..6_000).sum::<i64>());
    // The checker goes through all of them as well, and finds the last one. Without a cost, the ledger has no
    // part in it.
    let free = ModelPrice {
        tiers: vec![Tier { from_input_tokens: 0, rates: Rates::default() }],
        ..price("small", 0)
    };
    f.operator.import_prices(&[free]).await.unwrap();
    let free = f.store.price_book().await.unwrap().get("small").unwrap().price_id;
    let costless = "update tollgate.usage set cost = 0, price_id = $1";
    assert_eq!(admin.execute(costless, &[&free.as_uuid()]).await.unwrap(), 6_000);
    admin.batch_execute("delete from tollgate.credit_holds").await.unwrap();
    assert_eq!(broken(&f, &ann).await, Vec::<String>::new());
    let last = "update tollgate.usage set price_id = '00000000-0000-0000-0000-000000000000'
        where (arrived_at, request_id) = (select arrived_at, request_id from tollgate.usage order by 1 desc, 2 desc limit 1)
        returning request_id::text, input_tokens";
    let row = admin.query_one(last, &[]).await.unwrap();
    let (request, tokens): (String, i64) = (row.get(0), row.get(1));
    let named = format!("usage {request} costs 0, by its price it comes to {tokens}");
    assert_eq!(broken(&f, &ann).await, [named]);
}

impl Dice {
    /// Of any size, small ones as likely as large ones.
    fn figure(&mut self, bits: u64) -> u64 {
        let bits = self.below(bits + 1);
        self.below(1 << bits)
    }

    fn rate(&mut self) -> i64 {
        i64::try_from(self.figure(40)).unwrap()
    }

    fn rates(&mut self) -> Rates {
        Rates {
            input: self.rate(),
            cached_read: self.rate(),
            cache_write_5m: self.rate(),
            cache_write_1h: self.rate(),
            output: self.rate(),
            reasoning: self.rate(),
        }
    }
}

#[tokio::test]
async fn sql_and_rust_reckon_alike_for_any_price_usage_and_mark_up() {
    let f = Postgres::start().await;
    let (ann, admin) = (f.organization(0).await, f.database.connect().await.unwrap());
    let id = ann.organization_id().as_uuid();
    let mut dice = Dice(0x70_11_6a_7e);
    let mut prices = Vec::new();
    for number in 0..40 {
        let mut tiers = vec![Tier { from_input_tokens: 0, rates: dice.rates() }];
        for _ in 0..dice.below(3) {
            let from = tiers[tiers.len() - 1].from_input_tokens + 1 + dice.figure(20);
            tiers.push(Tier { from_input_tokens: from, rates: dice.rates() });
        }
        let per_request = Credits::from_nanos(dice.rate());
        prices.push(ModelPrice { tiers, per_request, ..price(&format!("m{number}"), 0) });
    }
    // A third of them are the organization's own.
    f.operator.agree_prices(ann.organization_id(), &prices[..13], None).await.unwrap();
    f.operator.import_prices(&prices[13..]).await.unwrap();
    let (book, agreement) =
        (f.store.price_book().await.unwrap(), f.store.agreement(&ann).await.unwrap());
    let insert = "insert into tollgate.usage (organization_id, arrived_at, request_id, user_id, endpoint, model, stream, ending, status,
          input_tokens, cached_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens,
          estimated, clamped, cost, price_id, markup_bps, latency_ms)
        values ($1, now(), $2, 'ann', 'messages', $3, false, 'complete', 200, $4, $5, $6, $7, $8, $9, false, false, $10, $11, $12, 1)";
    let insert = admin.prepare(insert).await.unwrap();
    let mut reckoned = 0;
    for number in 0..1_500 {
        let model = &prices[usize::try_from(dice.below(40)).unwrap()].model;
        let price = agreement.quote(&book, model).unwrap();
        let markup = u32::try_from(dice.below(u64::from(MARKUP_BPS_MAX) + 1)).unwrap();
        let markup = if number % 3 == 0 { markup } else { 0 };
        let quote = Quote::new(Arc::clone(price.price()), markup);
        let mut usage = Usage {
            input: dice.figure(40),
            cached_read: dice.figure(40),
            cache_write_5m: dice.figure(20),
            cache_write_1h: dice.figure(20),
            output: dice.figure(40),
            reasoning: dice.figure(20),
        };
        if number % 2 == 0 {
            // Where tiers and roundings are.
            let near = &quote.price().tiers[quote.price().tiers.len() - 1];
            usage = input(near.from_input_tokens.saturating_sub(dice.below(2)));
        }
        // What fits no amount is no bill that anybody could have been sent.
        let Ok(cost) = quote.cost(&usage) else { continue };
        reckoned += 1;
        let tokens = |tokens: u64| i64::try_from(tokens).unwrap();
        let markup = i32::try_from(markup).unwrap();
        admin
            .execute(
                &insert,
                &[
                    &id,
                    &Uuid::now_v7(),
                    model,
                    &tokens(usage.input),
                    &tokens(usage.cached_read),
                    &tokens(usage.cache_write_5m),
                    &tokens(usage.cache_write_1h),
                    &tokens(usage.output),
                    &tokens(usage.reasoning),
                    &cost.nanos(),
                    &quote.price_id().as_uuid(),
                    &markup,
                ],
            )
            .await
            .unwrap();
    }
    assert!(reckoned > 1_000, "{reckoned}");
    let check = "select calls, broken from tollgate.check_prices($1, $2, null, null, 10000)";
    let claims = format!(r#"{{"organization_id":"{id}","role_in_organization":"platform"}}"#);
    let row = admin.query_one(check, &[&id, &claims]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, Vec<String>>(1)), (reckoned, vec![]));
    // One nano-dollar less, anywhere, and it is noticed.
    let less = "update tollgate.usage set cost = cost - 1 where cost > 0";
    let changed = admin.execute(less, &[]).await.unwrap();
    let bill = rebill(&f, &ann, OtherPrices::None).await;
    // No ledger knows of these calls: all differ. Of those, the changed ones come to something else.
    let other = bill.differences.iter().filter(|one| one.recomputed != Some(one.cost)).count();
    assert!(changed > 1_000 && other > 60, "{changed} {other}");
    let row = admin.query_one(check, &[&id, &claims]).await.unwrap();
    assert_eq!(row.get::<_, Vec<String>>(1).len(), 100);
}

#[tokio::test]
async fn the_edge_of_what_an_amount_can_be_is_reckoned_and_never_wraps() {
    let f = Postgres::start().await;
    let (ann, admin) = (f.organization(0).await, f.database.connect().await.unwrap());
    let id = ann.organization_id().as_uuid();
    let dear = price("dear", i64::MAX);
    f.operator.import_prices(&[dear]).await.unwrap();
    let book = f.store.price_book().await.unwrap();
    let quote = Quote::new(Arc::clone(book.get("dear").unwrap()), 0);
    assert_eq!(quote.cost(&input(1_000_000)), Ok(Credits::MAX));
    assert!(quote.cost(&input(1_000_001)).is_err());
    let insert = "insert into tollgate.usage (organization_id, arrived_at, request_id, user_id, endpoint, model, stream, ending, status,
          input_tokens, cached_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens,
          estimated, clamped, cost, price_id, markup_bps, latency_ms)
        values ($1, now(), $2, 'ann', 'messages', 'dear', false, 'complete', 200, $3, 0, 0, 0, 9223372036854775807, 9223372036854775807, false, false,
                9223372036854775807, $4, $5, 1)";
    let price_id: PriceId = quote.price_id();
    let sums = "update tollgate.usage set output_tokens = 0, reasoning_tokens = 0";
    for (tokens, markup, right) in [
        (1_000_000_i64, 0, true),
        (1_000_001, 0, false),
        (1_000_000, 1, false),
        (i64::MAX, 1_000_000, false),
    ] {
        admin.batch_execute("delete from tollgate.usage").await.unwrap();
        let request = Uuid::now_v7();
        admin
            .execute(insert, &[&id, &request, &tokens, &price_id.as_uuid(), &markup])
            .await
            .unwrap();
        // Sums of everything at its largest are far beyond an amount, and found to be.
        assert_eq!(
            broken(&f, &ann).await.iter().filter(|one| one.contains("by its price")).count(),
            1
        );
        admin.batch_execute(sums).await.unwrap();
        let findings = broken(&f, &ann).await;
        assert_eq!(!findings.iter().any(|one| one.contains("by its price")), right, "{findings:?}");
    }
}
