use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};

use http::{Request, Response, StatusCode, header};
use metrics_util::debugging::DebuggingRecorder;
use tokio_test::{assert_pending, assert_ready_ok};
use tower::{Layer, ServiceExt, service_fn};
use tower_test::mock;

use super::CreditLayer;
use crate::{
    body::ResponseBody,
    context::{Call, Report, Tenant},
    domain::{
        credits::Credits,
        endpoint::Endpoint,
        finish::Ending,
        hold::{Exceeded, HoldVerdict, Unit, Window},
        policy::{Disconnect, Policy},
        price::{Agreement, PriceBook},
        request::CallFacts,
        scope::Scope,
        usage::Usage,
    },
    refusal::Refused,
    store::{MemoryStore, Policies, PriceStore, Prices, StoreError, StoreFuture},
    testing::{Verdicts, away, counted, fetched, price, prices, request, tenant, yes},
};

fn facts(endpoint: Endpoint) -> CallFacts {
    CallFacts {
        endpoint,
        model: "small".into(),
        stream: false,
        wants_usage: false,
        output_cap: Some(100),
        output_added: 0,
        answers: 3,
        hidden_answers: 0,
        echoed_bytes: 0,
        input_bound: 50,
        input_estimate: 40,
        may_write_cache: false,
        newer_cap: None,
    }
}

fn layer(ledger: &Arc<Verdicts>) -> CreditLayer {
    let policies = fetched(Policy { disconnect: Disconnect::Cancel, ..Policy::default() });
    CreditLayer::new(Arc::clone(ledger), policies, prices(&["small"]))
}

async fn answer(layer: CreditLayer, call: &Call) -> Response<ResponseBody<()>> {
    layer.layer(service_fn(yes)).oneshot(request(&tenant(), call)).await.unwrap()
}

fn code<B>(response: &Response<B>) -> Option<&'static str> {
    response.extensions().get::<Refused>().map(|refused| refused.code)
}

#[tokio::test]
async fn the_dearest_that_the_call_can_come_to_is_held() {
    let ledger = Verdicts::always(HoldVerdict::Granted);
    let call = Call::new(facts(Endpoint::ChatCompletions));
    let response = answer(layer(&ledger).hold_ttl(Duration::from_secs(7)), &call).await;
    assert_eq!(response.status(), StatusCode::OK);
    let asked = ledger.asked();
    // 50 × 1 + 3 × 100 × 2 nano-dollars; 50 + 3 × 100 tokens.
    assert_eq!((asked.amount, asked.tokens), (Credits::from_nanos(650), 350));
    assert_eq!((asked.request_id, asked.ttl), (call.request_id(), Duration::from_secs(7)));
    let hold = call.hold().unwrap();
    assert_eq!(
        (hold.amount, hold.tokens, hold.disconnect),
        (asked.amount, 350, Disconnect::Cancel)
    );
    assert_eq!(call.edits().output_cap, None);
}

#[tokio::test]
async fn a_cap_that_the_caller_did_not_set_is_sent_upstream() {
    for (policy_cap, expected) in [(None, 1_000), (Some(200), 200), (Some(5_000), 1_000)] {
        let ledger = Verdicts::always(HoldVerdict::Granted);
        let output_tokens_default = policy_cap.and_then(NonZeroU32::new);
        let policies = fetched(Policy { output_tokens_default, ..Policy::default() });
        let layer = CreditLayer::new(Arc::clone(&ledger), policies, prices(&["small"]));
        let call = Call::new(CallFacts { output_cap: None, ..facts(Endpoint::Messages) });
        answer(layer, &call).await;
        assert_eq!(call.edits().output_cap, NonZeroU32::new(expected));
        assert_eq!(ledger.asked().tokens, i64::from(50 + 3 * expected));
    }
}

#[tokio::test]
async fn where_nobody_sets_a_cap_it_is_4096_tokens_and_a_hold_stands_a_quarter_of_an_hour() {
    let mut uncapped = price("small");
    uncapped.output_tokens_max = None;
    for (set, expected) in [(None, 4_096), (Some(77), 77)] {
        let ledger = Verdicts::always(HoldVerdict::Granted);
        let prices = Prices::new(PriceBook::new([uncapped.clone()]));
        let mut layer = CreditLayer::new(Arc::clone(&ledger), fetched(Policy::default()), prices);
        if let Some(tokens) = set.and_then(NonZeroU32::new) {
            layer = layer.output_tokens_default(tokens);
        }
        let call = Call::new(CallFacts { output_cap: None, ..facts(Endpoint::Messages) });
        answer(layer, &call).await;
        assert_eq!(call.edits().output_cap, NonZeroU32::new(expected));
        let asked = ledger.asked();
        assert_eq!(asked.tokens, i64::from(50 + 3 * expected));
        assert_eq!(asked.amount, Credits::from_nanos(i64::from(50 + 3 * expected * 2)));
        assert_eq!(asked.ttl, Duration::from_mins(1));
    }
}

#[tokio::test]
async fn embeddings_are_held_by_their_input_alone() {
    let ledger = Verdicts::always(HoldVerdict::Granted);
    let call = Call::new(CallFacts { output_cap: None, ..facts(Endpoint::Embeddings) });
    answer(layer(&ledger), &call).await;
    assert_eq!((ledger.asked().amount, ledger.asked().tokens), (Credits::from_nanos(50), 50));
    assert_eq!(call.edits().output_cap, None);
}

#[tokio::test]
async fn a_chat_stream_is_asked_for_its_usage() {
    for (endpoint, wants_usage, expected) in [
        (Endpoint::ChatCompletions, false, true),
        (Endpoint::ChatCompletions, true, false),
        (Endpoint::Messages, false, false),
    ] {
        let ledger = Verdicts::always(HoldVerdict::Granted);
        let call = Call::new(CallFacts { stream: true, wants_usage, ..facts(endpoint) });
        answer(layer(&ledger), &call).await;
        assert_eq!(call.edits().include_usage, expected);
    }
}

#[tokio::test]
async fn each_verdict_has_its_answer_and_none_of_them_reaches_the_provider() {
    let hour = Duration::from_hours(1);
    let budget = |may_wait| {
        HoldVerdict::BudgetExceeded(Exceeded {
            scope: Scope::User,
            window: Window::Day,
            unit: Unit::Tokens,
            retry_after: hour,
            may_wait,
        })
    };
    let insufficient = |may_wait| HoldVerdict::Insufficient { available: Credits::ZERO, may_wait };
    let always = Verdicts::always;
    for (ledger, status, expected, retry_after) in [
        (always(insufficient(false)), 402, "insufficient_credits", None),
        (always(insufficient(true)), 402, "insufficient_credits", Some("1")),
        (always(budget(false)), 429, "budget_exceeded", Some("3600")),
        (always(budget(true)), 429, "budget_exceeded", Some("1")),
        (always(HoldVerdict::Suspended(Scope::Team)), 403, "team_suspended", None),
        (Verdicts::unknown(), 403, "model_not_allowed", None),
        (always(HoldVerdict::Conflict), 503, "unavailable", Some("1")),
        (Verdicts::away(), 503, "unavailable", Some("1")),
    ] {
        let (mut gateway, mut provider) =
            mock::spawn_layer::<Request<()>, Response<()>, _>(layer(&ledger));
        assert_ready_ok!(gateway.poll_ready());
        let call = Call::new(facts(Endpoint::ChatCompletions));
        let response = gateway.call(request(&tenant(), &call)).await.unwrap();
        assert_eq!((response.status().as_u16(), code(&response)), (status, Some(expected)));
        let told = response.headers().get(header::RETRY_AFTER).map(|wait| wait.to_str().unwrap());
        assert_eq!(told, retry_after);
        assert_eq!(ledger.times(), 1);
        assert!(call.hold().is_none());
        assert_pending!(provider.poll_request());
    }
}

#[tokio::test]
async fn each_verdict_is_counted_by_its_word_and_an_open_hold_until_its_call_ends() {
    let metrics = DebuggingRecorder::new();
    let _here = metrics::set_default_local_recorder(&metrics);
    let exceeded = Exceeded {
        scope: Scope::User,
        window: Window::Day,
        unit: Unit::Tokens,
        retry_after: Duration::from_hours(1),
        may_wait: false,
    };
    let insufficient = HoldVerdict::Insufficient { available: Credits::ZERO, may_wait: false };
    for (ledger, word) in [
        (Verdicts::always(HoldVerdict::Granted), "granted"),
        (Verdicts::always(insufficient), "insufficient"),
        (Verdicts::always(HoldVerdict::BudgetExceeded(exceeded)), "budget_exceeded"),
        (Verdicts::always(HoldVerdict::Suspended(Scope::Team)), "suspended"),
        (Verdicts::unknown(), "unknown_organization"),
        (Verdicts::always(HoldVerdict::Conflict), "conflict"),
        (Verdicts::away(), "error"),
    ] {
        let (opens, closes) = if word == "granted" { ("1", "-1") } else { ("none", "none") };
        let open = |seen: &BTreeMap<String, String>| {
            seen.get("tollgate_holds_open")
                .filter(|open| *open != "0")
                .map_or("none".into(), String::clone)
        };
        let call = Call::new(facts(Endpoint::ChatCompletions));
        drop(answer(layer(&ledger), &call).await);
        let seen = counted(&metrics.snapshotter());
        let name = format!("tollgate_holds_total {word}");
        let verdicts = seen
            .iter()
            .filter(|(name, value)| name.starts_with("tollgate_holds_total") && *value != "0");
        assert_eq!(verdicts.collect::<Vec<_>>(), [(&name, &"1".to_owned())]);
        assert_eq!(seen.get("tollgate_hold_seconds").map(String::as_str), Some("1"));
        assert_eq!(open(&seen), opens);
        // Each snapshot reports only the change since the last one, so a closed hold shows as a negative gauge.
        drop(call);
        let seen = counted(&metrics.snapshotter());
        assert_eq!(open(&seen), closes, "{word}");
    }
}

#[tokio::test]
async fn a_call_above_its_bound_makes_the_next_holds_of_its_organization_larger_and_is_counted() {
    let metrics = DebuggingRecorder::new();
    let _recording = metrics::set_default_local_recorder(&metrics);
    let ledger = Verdicts::always(HoldVerdict::Granted);
    let layer = layer(&ledger).overruns_alert(1);
    let (tenant, other) = (tenant(), tenant());
    let held = async |tenant: &Tenant, output: u64| {
        let call = Call::new(facts(Endpoint::ChatCompletions));
        let asked = request(tenant, &call);
        layer.clone().layer(service_fn(yes)).oneshot(asked).await.unwrap();
        assert_eq!(call.hold().unwrap().amount, Credits::from_nanos(650), "the bound stays");
        let usage = Usage { output, ..Usage::default() };
        call.tell_ended(&Report { ending: Ending::Complete, usage });
        (ledger.asked().amount.nanos(), ledger.asked().tokens)
    };
    assert_eq!(
        held(&tenant, 325).await,
        (650, 350),
        "650 nano-dollars are the bound, not above it"
    );
    assert_eq!(held(&tenant, 650).await, (650, 350));
    assert_eq!(held(&tenant, 1).await, (1_300, 700), "twice the bound");
    assert_eq!(held(&tenant, 1_000_000).await, (1_300, 700));
    assert_eq!(held(&tenant, 1).await, (6_500, 3_500), "ten times at most");
    assert_eq!(held(&other, 1).await, (650, 350), "no other organization's");
    let seen = counted(&metrics.snapshotter());
    assert_eq!(seen.get("tollgate_hold_overruns_total").map(String::as_str), Some("2"));
    assert_eq!(seen.get("tollgate_hold_overruns_alert").map(String::as_str), Some("1"));
}

#[tokio::test]
async fn a_model_without_a_sound_price_is_refused_and_never_free() {
    let mut negative = price("negative");
    negative.tiers[0].rates.cached_read = -1;
    let mut tierless = price("tierless");
    tierless.tiers.clear();
    let book = Prices::new(PriceBook::new([negative, tierless]));
    let ledger = Verdicts::always(HoldVerdict::Granted);
    let layer = CreditLayer::new(Arc::clone(&ledger), Policies::fixed(Policy::default()), book);
    for model in ["unknown", "negative", "tierless"] {
        let response = answer(layer.clone(), &Call::for_model(model)).await;
        assert_eq!(code(&response), Some("model_not_allowed"));
    }
    assert_eq!(ledger.times(), 0);
}

/// Prices from a store with this agreement for the organization.
fn agreed(tenant: &Tenant, agreement: Agreement) -> Prices {
    let store = MemoryStore::default();
    assert!(store.create_organization(tenant.organization_id()));
    store.set_agreement(tenant.organization_id(), agreement).unwrap();
    Prices::cached(Arc::new(store), PriceBook::new([price("small")]), Prices::TTL_MAX)
}

#[tokio::test]
async fn what_is_agreed_with_the_organization_is_what_is_held_and_settled() {
    let usage = Usage { input: 50, output: 300, ..Usage::default() };
    let mut own = price("small");
    own.tiers[0].rates.output = 1_000_000;
    for (agreement, amount, markup_bps) in [
        (Agreement::default(), 650, 0),
        (Agreement::new(2_500, []), 813, 2_500),
        (Agreement::new(2_500, [own.clone()]), 350, 0),
    ] {
        let (ledger, tenant) = (Verdicts::always(HoldVerdict::Granted), tenant());
        let layer = CreditLayer::new(
            Arc::clone(&ledger),
            fetched(Policy::default()),
            agreed(&tenant, agreement),
        );
        let call = Call::new(facts(Endpoint::ChatCompletions));
        let gateway = layer.layer(service_fn(yes));
        assert_eq!(gateway.oneshot(request(&tenant, &call)).await.unwrap().status(), 200);
        assert_eq!(ledger.asked().amount, Credits::from_nanos(amount));
        let hold = call.hold().unwrap();
        // Cost and hold are equal: nothing was written to a cache, and all of the output was used.
        assert_eq!(
            (hold.price.markup_bps(), hold.price.cost(&usage)),
            (markup_bps, Ok(hold.amount))
        );
    }
}

#[tokio::test]
async fn a_model_of_another_organization_is_unknown() {
    let (ledger, tenant) = (Verdicts::always(HoldVerdict::Granted), tenant());
    let prices = agreed(&tenant, Agreement::new(0, [price("private")]));
    let layer = CreditLayer::new(Arc::clone(&ledger), fetched(Policy::default()), prices);
    for (tenant, status) in [(tenant, 200), (crate::testing::tenant(), 403)] {
        let call = Call::for_model("private");
        let gateway = layer.layer(service_fn(yes));
        let response = gateway.oneshot(request(&tenant, &call)).await.unwrap();
        assert_eq!(response.status(), status);
    }
    assert_eq!(ledger.times(), 1);
}

#[tokio::test]
async fn a_price_that_changes_during_a_call_does_not_change_the_call() {
    let ledger = Verdicts::always(HoldVerdict::Granted);
    let prices = prices(&["small"]);
    let layer = CreditLayer::new(Arc::clone(&ledger), fetched(Policy::default()), prices.clone());
    let call = Call::new(facts(Endpoint::ChatCompletions));
    answer(layer.clone(), &call).await;
    let mut dearer = price("small");
    dearer.tiers[0].rates.input = 9_000_000;
    prices.replace(PriceBook::new([dearer]));
    let usage = Usage { input: 50, ..Usage::default() };
    assert_eq!(call.hold().unwrap().price.cost(&usage), Ok(Credits::from_nanos(50)));
    let next = Call::new(facts(Endpoint::ChatCompletions));
    answer(layer, &next).await;
    assert_eq!(next.hold().unwrap().price.cost(&usage), Ok(Credits::from_nanos(450)));
}

/// A store whose agreements cannot be read.
struct Away;

impl PriceStore for Away {
    fn price_book(&self) -> StoreFuture<'_, PriceBook> {
        Box::pin(async { Ok(PriceBook::default()) })
    }

    fn agreement<'a>(&'a self, _: &'a Tenant) -> StoreFuture<'a, Agreement> {
        Box::pin(async { Err(StoreError::Unavailable("away".into())) })
    }
}

#[tokio::test]
async fn where_nobody_can_say_what_is_agreed_no_price_is_guessed() {
    let ledger = Verdicts::always(HoldVerdict::Granted);
    let prices = Prices::cached(Arc::new(Away), PriceBook::new([price("small")]), Prices::TTL_MAX);
    let layer = CreditLayer::new(Arc::clone(&ledger), fetched(Policy::default()), prices);
    let response = answer(layer, &Call::for_model("small")).await;
    assert_eq!((response.status().as_u16(), ledger.times()), (503, 0));
}

#[tokio::test]
async fn a_cost_beyond_any_amount_is_refused_by_the_field_that_makes_it_so() {
    let ledger = Verdicts::always(HoldVerdict::Granted);
    for (output_cap, answers) in [(Some(u64::MAX), 1), (Some(1 << 40), 1 << 60)] {
        let call = Call::new(CallFacts { output_cap, answers, ..facts(Endpoint::ChatCompletions) });
        assert_eq!(answer(layer(&ledger), &call).await.status(), StatusCode::BAD_REQUEST);
    }
    assert_eq!(ledger.times(), 0);
}

#[tokio::test]
async fn without_a_policy_nothing_is_held() {
    let ledger = Verdicts::always(HoldVerdict::Granted);
    let layer = CreditLayer::new(Arc::clone(&ledger), away(), prices(&["small"]));
    let response = answer(layer, &Call::for_model("small")).await;
    assert_eq!((response.status().as_u16(), ledger.times()), (503, 0));
}

#[tokio::test]
async fn the_instance_that_was_made_ready_is_called_with_the_hold_in_the_call() {
    let ledger = Verdicts::always(HoldVerdict::Granted);
    let (mut gateway, mut provider) =
        mock::spawn_layer::<Request<()>, Response<()>, _>(layer(&ledger));
    provider.allow(1);
    assert_ready_ok!(gateway.poll_ready());
    let call = Call::for_model("small");
    let answer = tokio::spawn(gateway.call(request(&tenant(), &call)));
    let (seen, reply) = provider.next_request().await.unwrap();
    assert!(Call::of(&seen).unwrap().hold().is_some());
    reply.send_error("broken pipe");
    assert_eq!(answer.await.unwrap().unwrap_err().to_string(), "broken pipe");
    assert_pending!(gateway.poll_ready());
}

#[tokio::test]
async fn a_missing_layer_is_our_fault_and_not_the_callers() {
    let without_call = Request::builder().extension(tenant()).body(()).unwrap();
    let without_tenant = Request::builder().extension(Call::for_model("small")).body(()).unwrap();
    for request in [without_call, without_tenant] {
        let gateway = layer(&Verdicts::away()).layer(service_fn(yes));
        let response = gateway.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
