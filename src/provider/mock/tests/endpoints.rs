//! Every endpoint of the mock, held against its [`Spec`](crate::domain::endpoint::Spec).

use std::num::NonZeroU32;

use super::*;
use crate::domain::{
    endpoint::{Endpoint, Prompt},
    output, request,
    sse::Splitter,
    usage::{Meter, Usage},
};

fn body(endpoint: Endpoint, stream: bool) -> Value {
    let spec = endpoint.spec();
    let mut body = json!({"model": "gpt-4o", "stream": stream});
    body[spec.prompt.field()] = match spec.prompt {
        Prompt::Messages => json!([{"role": "user", "content": "one two"}]),
        Prompt::Inputs | Prompt::Prompts => json!(["one two", "three"]),
    };
    if let Some(output) = spec.output {
        body[output.cap_sent] = 9.into();
        if output.usage_on_request {
            body["stream_options"] = json!({"include_usage": true});
        }
    }
    body
}

#[tokio::test]
async fn each_endpoint_is_answered_with_usage_that_its_bound_covers() {
    for &endpoint in Endpoint::ALL {
        let spec = endpoint.spec();
        for stream in [false, true] {
            let body = body(endpoint, stream);
            let facts = request::read(endpoint, body.to_string().as_bytes()).unwrap();
            let answer = ask(&MockProvider::new(), spec.path, &[], &body).await;
            assert_eq!(answer.status(), StatusCode::OK, "{endpoint:?}");
            let streamed = answer.headers()[header::CONTENT_TYPE] != "application/json";
            assert_eq!(streamed, stream && spec.output.is_some(), "{endpoint:?}");

            let text = text(answer).await;
            let mut meter = Meter::new(endpoint);
            if streamed {
                let mut splitter = Splitter::new(1 << 20);
                splitter.push(text.into());
                while let Some(event) = splitter.next_event().unwrap() {
                    meter.read_event(&event);
                }
            } else {
                meter.read_document(text.as_bytes());
            }
            let usage: Usage = meter.usage().unwrap();
            let bound = output::bound(&facts, None, None, NonZeroU32::MIN);
            assert!(meter.finished() && usage.input_total() <= facts.input_bound, "{endpoint:?}");
            assert_eq!(usage.output_total(), bound.per_answer * facts.answers, "{endpoint:?}");
        }
    }
}
