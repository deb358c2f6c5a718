//! Several organizations on one gateway, and changes to them while the gateway runs.

use futures_util::future::join_all;
use serde_json::json;
use tollgate::store::admin::PolicyAdmin;

use super::harness::{Ask, BOTH, House, Org, RICH, Setup, cost, logs};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn organizations_that_share_a_small_pool_see_their_own_words_only() {
    let house = House::with(Setup { connections: 2, ..Setup::default() }).await;
    let canaries = ["canaryred", "canaryblue", "canarygreen"];
    let mut orgs: Vec<Org> = Vec::new();
    for _ in canaries {
        orgs.push(house.organization(RICH).await);
    }
    let calls = (0..150).map(async |number: usize| {
        let (org, canary) = (&orgs[number % 3], canaries[number % 3]);
        let ask = Ask { stream: number.is_multiple_of(2), ..Ask::of(BOTH[number / 3 % 2]) };
        let ask = ask.saying(canary).mock("output-tokens", 5 + number % 3);
        let answer = house.ask(org, &ask).await;
        assert_eq!((answer.status, answer.whole), (200, true), "{}", answer.text());
        assert_eq!(answer.text().matches(canary).count(), 5 + number % 3);
        assert_eq!(answer.text().matches("canary").count(), 5 + number % 3, "{}", answer.text());
    });
    join_all(calls).await;
    let rows = house.check().await;
    for (number, (org, canary)) in orgs.iter().zip(canaries).enumerate() {
        let own: Vec<_> = rows.iter().filter(|row| row.organization == org.id.as_uuid()).collect();
        assert_eq!(own.len(), 50);
        let output = u64::try_from(5 + number).unwrap();
        assert!(own.iter().all(|row| row.served.output_tokens == output));
        let charged: i64 = own.iter().map(|row| cost(&row.served)).sum();
        assert_eq!(house.balance(org).await, (RICH - charged, 0, 0));
        // What was kept of prompts and answers is each organization's own, too.
        let foreign = "select count(*) from tollgate.audit_events where organization_id = $1
                       and (request || response not like '%' || $2 || '%'
                         or replace(request || response, $2, '') like '%canary%')";
        let id = org.id.as_uuid();
        let found = async { house.admin.query_one(foreign, &[&id, &canary]).await };
        let found = logs::unheard(found).await.unwrap();
        assert_eq!(found.get::<_, i64>(0), 0);
    }
    house.close().await;
}

#[tokio::test]
async fn the_kill_switches_stop_the_next_call() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    for ask in BOTH.map(Ask::of) {
        assert_eq!(house.ask(&org, &ask).await.status, 200);
        let reached = house.mock.served_total().calls;
        house.operator.set_suspended(org.id, true).await.unwrap();
        let refused = house.ask(&org, &ask).await;
        assert_eq!(refused.status, 403);
        assert!(refused.text().contains("suspended"), "{}", refused.text());
        house.operator.set_suspended(org.id, false).await.unwrap();

        house.operator.patch_policy(org.id, &json!({"suspended": true})).await.unwrap();
        assert_eq!(house.ask(&org, &ask).await.status, 403);
        house.operator.patch_policy(org.id, &json!({"suspended": null})).await.unwrap();
        assert_eq!(house.mock.served_total().calls, reached);
        assert_eq!(house.ask(&org, &ask).await.status, 200);
    }
    house.close().await;
}

#[tokio::test]
async fn a_top_up_counts_for_the_next_call() {
    let house = House::open().await;
    for ask in BOTH.map(|dialect| Ask::of(dialect).streamed()) {
        let org = house.organization(0).await;
        assert_eq!(house.ask(&org, &ask).await.status, 402);
        house.grant(&org, 2_000_000).await;
        assert_eq!(house.ask(&org, &ask).await.status, 200);
        let (left, ..) = house.balance(&org).await;
        let mut dear = ask.clone().at_most(1_000_000);
        dear.stream = false;
        assert_eq!(house.ask(&org, &dear).await.status, 402, "{left}");
        // Back to nothing, by a call that costs more than there is and a grant of just that.
        assert_eq!(house.ask(&org, &ask.clone().mock("input-tokens", 10_000)).await.status, 200);
        let (_, _, debt) = house.balance(&org).await;
        house.grant(&org, debt).await;
        assert_eq!(house.balance(&org).await, (0, 0, 0));
    }
    house.close().await;
}

#[tokio::test]
async fn a_model_without_a_price_is_refused_and_never_free() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    for ask in BOTH.map(Ask::of) {
        for (model, status) in [
            ("unpriced", 403),
            ("small ", 403),
            ("SMALL", 403),
            ("small\u{0}", 400),
            ("small,unpriced", 403),
            ("", 400),
        ] {
            let refused = house.ask(&org, &ask.clone().model(model)).await;
            assert_eq!(refused.status, status, "{model:?}: {}", refused.text());
        }
    }
    assert_eq!(house.check().await, []);
    assert_eq!((house.mock.served_total().calls, house.balance(&org).await), (0, (RICH, 0, 0)));
    house.close().await;
}

#[tokio::test]
async fn a_token_for_an_organization_that_is_not_there_reaches_nothing() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    let stranger = house.nobody();
    let answer = house.ask(&stranger, &Ask::chat()).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    let forged = Org { token: org.token.clone() + "x", ..org };
    assert_eq!(house.ask(&forged, &Ask::chat()).await.status, 401);
    assert_eq!(house.check().await, []);
    assert_eq!(house.mock.served_total().calls, 0);
    house.close().await;
}
