//! The cost of calls through the whole gateway: each class of token is charged once, by the caller's own price.

use tollgate::{
    domain::{
        credits::Credits,
        dialect::Dialect,
        price::{ModelPrice, Tier},
    },
    store::admin::{AgreementAdmin, Begins, BillAdmin, BookAdmin, OtherPrices, RebillWindow},
};

use super::harness::{Ask, BOTH, House, Org, RICH, price, until};

/// What a call of a thousand input tokens, six hundred of them from the cache and a hundred into it, and of a
/// hundred output tokens, forty of them for reasoning where that has a figure, comes to: in nano-dollars,
/// each token in one class.
const COST_OPENAI: i64 = 300 * 1_000 + 600 * 100 + 100 * 1_250 + 60 * 4_000 + 40 * 6_000;
const COST_ANTHROPIC: i64 = 300 * 1_000 + 600 * 100 + 100 * 1_250 + 100 * 4_000;

fn ask(dialect: Dialect) -> Ask {
    let reasoning = if dialect == Dialect::OpenAi { 40 } else { 0 };
    let ask = Ask::of(dialect).at_most(100).mock("output-tokens", 100);
    let ask = ask.mock("input-tokens", 1_000).mock("cached-tokens", 600);
    ask.mock("cache-write-tokens", 100)
        .mock("reasoning-tokens", reasoning)
        .saying("walnut ".repeat(800))
}

/// The only call of an organization: its cost, its hold and its price.
async fn only_call(house: &House, org: &Org) -> (i64, i64, uuid::Uuid, [i64; 6]) {
    let sql = "select u.cost, h.amount, u.price_id, u.input_tokens, u.cached_read_tokens, u.cache_write_5m_tokens, u.cache_write_1h_tokens,
            u.output_tokens, u.reasoning_tokens
        from tollgate.usage u join tollgate.credit_holds h using (organization_id, request_id)
        where organization_id = $1 and h.status = 'settled'";
    let id = org.id.as_uuid();
    until("the call is settled", async || house.admin.query(sql, &[&id]).await.unwrap().len() == 1)
        .await;
    let row = house.admin.query_one(sql, &[&id]).await.unwrap();
    let tokens = [3, 4, 5, 6, 7, 8].map(|index| row.get(index));
    (row.get(0), row.get(1), row.get(2), tokens)
}

#[tokio::test]
async fn what_is_in_a_figure_already_is_not_paid_for_again() {
    let house = House::open().await;
    // One vendor counts what it read from its cache, and reasoning, within the totals; the other beside them.
    for (dialect, cost, tokens) in [
        (Dialect::OpenAi, COST_OPENAI, [300, 600, 100, 0, 60, 40]),
        (Dialect::Anthropic, COST_ANTHROPIC, [300, 600, 100, 0, 100, 0]),
    ] {
        for stream in [false, true] {
            let org = house.organization(RICH).await;
            let answer = house.ask(&org, &Ask { stream, ..ask(dialect) }).await;
            assert!(answer.status == 200 && answer.whole);
            let (charged, held, _, used) = only_call(&house, &org).await;
            assert_eq!((charged, used), (cost, tokens), "{dialect:?} {stream}");
            assert!(held >= charged);
            assert_eq!(house.balance(&org).await, (RICH - cost, 0, 0));
        }
    }
    house.close().await;
}

#[tokio::test]
async fn an_organization_pays_what_was_agreed_and_its_neighbour_the_list() {
    let mut house = House::open().await;
    let [agreed, marked_up, plain] = [
        house.organization(RICH).await,
        house.organization(RICH).await,
        house.organization(RICH).await,
    ];
    let halved = |tier: &Tier| {
        let mut tier = *tier;
        tier.rates.input /= 2;
        tier.rates.output /= 2;
        tier
    };
    let own = ModelPrice { tiers: price().tiers.iter().map(halved).collect(), ..price() };
    let begins = house.operator.agree_prices(agreed.id, &[own], None).await.unwrap();
    assert!(matches!(begins, Begins::AtMicros(_)));
    // An agreed price has no mark-up.
    for org in [&agreed, &marked_up] {
        house.operator.set_markup(org.id, 3_333, None).await.unwrap();
    }
    let list = COST_ANTHROPIC;
    let cost_agreed = 300 * 500 + 600 * 100 + 100 * 1_250 + 100 * 2_000;
    let cost_marked_up = (list * 13_333 + 9_999) / 10_000;
    for (org, cost) in [(&agreed, cost_agreed), (&marked_up, cost_marked_up), (&plain, list)] {
        let answer = house.ask(org, &ask(Dialect::Anthropic)).await;
        assert_eq!(answer.status, 200);
        let (charged, held, price_id, _) = only_call(&house, org).await;
        assert_eq!(charged, cost);
        assert!(held >= charged, "{held} {charged}");
        assert_eq!(house.balance(org).await, (RICH - cost, 0, 0));
        let own = "select count(*) from tollgate.price_overrides where price_id = $1";
        let own: i64 = house.admin.query_one(own, &[&price_id]).await.unwrap().get(0);
        assert_eq!(own, i64::from(org.id == agreed.id));
    }
    let window = RebillWindow { from: "2026-01-01".parse().unwrap(), until: None };
    for org in [&agreed, &marked_up, &plain] {
        assert_eq!(house.operator.books(org.id).await.unwrap().broken, Vec::<String>::new());
        let bill = house.operator.rebill(org.id, &window, &OtherPrices::Current).await.unwrap();
        assert!(bill.holds());
        assert_eq!((bill.total.other, bill.total.unpriced), (bill.total.charged, 0));
    }
    for gateway in std::mem::take(&mut house.gateways) {
        gateway.stop.cancel();
        gateway.task.await.unwrap();
    }
}

#[tokio::test]
async fn a_model_without_a_price_is_refused_and_one_of_their_own_is_theirs_alone() {
    let mut house = House::open().await;
    let [theirs, other] = [house.organization(RICH).await, house.organization(RICH).await];
    let own =
        ModelPrice { model: "private".into(), per_request: Credits::from_nanos(7), ..price() };
    house.operator.agree_prices(theirs.id, &[own], None).await.unwrap();
    for dialect in BOTH {
        for (org, model, status) in
            [(&theirs, "private", 200), (&other, "private", 403), (&theirs, "unheard-of", 403)]
        {
            let answer = house.ask(org, &Ask::of(dialect).model(model)).await;
            assert_eq!(answer.status, status, "{model}");
        }
    }
    assert_eq!(house.balance(&other).await, (RICH, 0, 0));
    assert_eq!(house.mock.served_total().calls, 2);
    for gateway in std::mem::take(&mut house.gateways) {
        gateway.stop.cancel();
        gateway.task.await.unwrap();
    }
    assert_eq!(house.operator.books(theirs.id).await.unwrap().broken, Vec::<String>::new());
}
