//! Text completions through the whole gateway: several prompts, answers that are not returned, prompts that come back.

use serde_json::{Value, json};

use super::harness::{Ask, House, RICH, Row, cost, plain_cost};

const LAST_EVENT: &[u8] = b"data: [DONE]";

async fn last(house: &House) -> Row {
    house.check().await.pop().unwrap()
}

#[tokio::test]
async fn all_that_is_written_to_each_prompt_is_held_for_and_charged() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    for (prompt, n, best_of, choices, written) in [
        (json!("walnut"), 1, 1, 1, 1),
        (json!("walnut"), 2, 5, 2, 5),
        (json!(["walnut", "walnut tree"]), 3, 3, 6, 6),
        (json!(["walnut", "walnut tree"]), 1, 4, 2, 8),
        (json!([7, 8, 9]), 2, 2, 2, 2),
        (json!([[7, 8], [9]]), 2, 3, 4, 6),
    ] {
        for echo in [false, true] {
            let ask = Ask::completion().field("prompt", prompt.clone()).field("echo", echo);
            let ask = ask.field("n", n).field("best_of", best_of).field("suffix", "shell");
            // As much as is allowed: whatever was not held for would show.
            let ask = ask.at_most(40).mock("output-tokens", 1_000);
            let answer = house.ask(&org, &ask).await;
            assert_eq!(answer.status, 200, "{prompt}");
            assert_eq!(answer.json()["choices"].as_array().unwrap().len(), choices, "{prompt}");
            let row = last(&house).await;
            assert_eq!(row.served.output_tokens, 40 * written, "{prompt}");
            assert!(!row.estimated && row.charged == cost(&row.served), "{row:?}");
            assert!(row.held >= row.charged && row.held >= plain_cost(0, 40 * written), "{row:?}");
        }
    }
    house.close().await;
}

#[tokio::test]
async fn a_caller_that_names_no_cap_gets_the_documented_default() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    for stream in [false, true] {
        let ask = Ask { stream, ..Ask::completion() }.field("max_tokens", Value::Null);
        let answer = house.ask(&org, &ask.mock("output-tokens", 1_000)).await;
        assert!(answer.status == 200 && answer.whole);
        assert_eq!(last(&house).await.served.output_tokens, 16);
    }
    house.close().await;
}

#[tokio::test]
async fn a_stream_passes_without_the_usage_that_nobody_asked_for_and_is_charged_by_it() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    let ask = Ask::completion().streamed().mock("output-tokens", 40).mock("chunks", 10);
    let with = ask.clone().field("stream_options", json!({"include_usage": true}));
    for (ask, told) in [(ask, false), (with, true)] {
        let answer = house.ask(&org, &ask).await;
        assert!(answer.body.windows(LAST_EVENT.len()).any(|bytes| bytes == LAST_EVENT));
        assert_eq!(String::from_utf8_lossy(&answer.body).contains("completion_tokens"), told);
        let row = last(&house).await;
        assert!(!row.estimated && row.charged == cost(&row.served), "{row:?}");
        assert_eq!((row.ending.as_str(), row.usage.output), ("complete", 40));
    }
    house.close().await;
}

#[tokio::test]
async fn without_usage_the_text_is_counted_whole_or_broken_off() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    for stream in [false, true] {
        let ask = Ask { stream, ..Ask::completion() }.mock("usage", "none");
        let answer = house.ask(&org, &ask.mock("output-tokens", 8)).await;
        assert!(answer.status == 200 && answer.whole);
        let row = last(&house).await;
        // Eight words of six letters and the spaces between them, four bytes a token.
        assert!(row.estimated && row.usage.output == 14, "{row:?}");
    }
    let ask = Ask::completion().streamed().mock("output-tokens", 40).mock("chunks", 10);
    let answer = house.ask(&org, &ask.mock("break-after", 5)).await;
    assert!(answer.ends_in_error());
    let row = last(&house).await;
    assert!(row.estimated && row.usage.output == 35, "twenty words: {row:?}");
    house.close().await;
}

#[tokio::test]
async fn a_client_that_leaves_a_completion_pays_for_all_that_the_provider_wrote() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    let ask = Ask::completion().streamed().mock("output-tokens", 40).mock("chunks", 10);
    let mut client = house.client().await;
    client.send(&ask.mock("chunk-delay-ms", 2).bytes(&org.token)).await;
    client.read_to(b"walnut").await;
    client.leave().await;
    let row = last(&house).await;
    assert_eq!((row.ending.as_str(), row.usage.output), ("abandoned", 40), "{row:?}");
    assert_eq!(row.charged, cost(&row.served));
    house.close().await;
}

#[tokio::test]
async fn what_could_cost_more_than_can_be_known_is_refused_and_holds_nothing() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    for (field, value) in [
        ("prompt", json!({"text": "walnut"})),
        ("prompt_embeds", json!(["AAAA"])),
        ("max_completion_tokens", json!(9)),
        ("max_tokens", json!(0)),
        ("best_of", json!(1_000)),
        ("suffix", json!(["walnut"])),
    ] {
        let answer = house.ask(&org, &Ask::completion().field(field, value)).await;
        assert_eq!(answer.status, 400, "{field}");
        assert_eq!(answer.json()["error"]["param"], field);
    }
    assert_eq!(house.check().await, []);
    assert_eq!(house.balance(&org).await, (RICH, 0, 0));
    house.close().await;
}
