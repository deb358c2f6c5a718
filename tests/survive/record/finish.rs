//! The rows that one finish statement writes: a column for each field.

use std::{sync::Arc, time::Duration};

use tollgate::{
    Tenant,
    domain::{
        credits::Credits,
        endpoint::Endpoint,
        finish::{Ending, Finish, Finished, Record, Settlement},
        hold::{HoldRequest, HoldVerdict},
        ids::{KeyId, PriceId, RequestId, TeamId},
        policy::Policy,
        usage::Usage,
    },
    store::{Journal, Ledger, admin::BookAdmin},
};

use super::super::harness::{Ask, Columns, House, Setup};
use super::case::{Case, KEY, TEAM, now_ms};

/// No two of its fields could be taken for each other.
#[tokio::test]
async fn every_field_of_a_finish_has_a_column_of_its_own() {
    let house = House::unopened(Setup::default()).await;
    let case = Case::new(&house, Policy::default(), Ask::chat()).await;
    let tenant = Tenant::new(case.caller.id, "olga");
    let tenant = tenant.with_team(TeamId::new(TEAM)).with_key(KeyId::new(KEY));
    let request_id = RequestId::generate();
    // 11 × 1,000 + 13 × 100 + 17 × 1,250 + 19 × 2,500 + 23 × 4,000 + 29 × 6,000, and a quarter, rounded up.
    let amount = Credits::from_nanos(433_813);
    let hold = HoldRequest { request_id, amount, tokens: 112, ttl: Duration::from_mins(1) };
    assert_eq!(house.places.hold(&tenant, hold).await.unwrap(), HoldVerdict::Granted);
    let finish = Finish {
        request_id,
        client_request_id: Some("call-of-olga".into()),
        endpoint: Endpoint::Embeddings,
        model: "small".into(),
        answered_by: Some("small-2026".into()),
        provider: Some("azure".into()),
        stream: true,
        ending: Ending::Abandoned,
        status: 206,
        usage: Usage {
            input: 11,
            cached_read: 13,
            cache_write_5m: 17,
            cache_write_1h: 19,
            output: 23,
            reasoning: 29,
        },
        estimated: true,
        clamped: false,
        settlement: Some(Settlement {
            amount,
            tokens: 112,
            price_id: PriceId::new(case.price),
            markup_bps: 2_500,
            release: false,
        }),
        latency: Duration::from_micros(37_900),
        first_byte: Some(Duration::from_micros(31_900)),
        record: Some(Record {
            request: Some("what was asked".into()),
            response: Some("what was answered".into()),
            truncated: true,
        }),
    };
    let finished = house.places.finish(&tenant, &Arc::new(finish)).await.unwrap();
    assert_eq!(finished, Finished { charged: amount, debt: Credits::ZERO, replayed: false });
    let expected = Columns::default()
        .with("organization_id", case.caller.id.to_string())
        .with("arrived_at", request_id.arrived_ms())
        .with("request_id", request_id.to_string())
        .between("recorded_at", case.begun_ms, now_ms())
        .with("user_id", "olga")
        .with("team_id", TEAM.to_string())
        .with("key_id", KEY.to_string())
        .with("client_request_id", "call-of-olga")
        .with("endpoint", "embeddings")
        .with("model", "small")
        .with("answered_by", "small-2026")
        .with("provider", "azure")
        .with("stream", true)
        .with("ending", "abandoned")
        .with("status", 206)
        .with("input_tokens", 11)
        .with("cached_read_tokens", 13)
        .with("cache_write_5m_tokens", 17)
        .with("cache_write_1h_tokens", 19)
        .with("output_tokens", 23)
        .with("reasoning_tokens", 29)
        .with("estimated", true)
        .with("clamped", false)
        .with("cost", 433_813)
        .with("price_id", case.price.to_string())
        .with("markup_bps", 2_500)
        .with("latency_ms", 37)
        .with("first_byte_ms", 31)
        .with("request", "what was asked")
        .with("response", "what was answered")
        .with("truncated", true);
    case.reads_back(&house, expected).await;
    let books = house.operator.books(case.caller.id).await.unwrap();
    assert_eq!((books.broken, books.charged), (Vec::new(), amount));
}
