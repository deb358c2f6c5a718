//! The metrics of calls and of their ends.

use metrics_util::debugging::DebuggingRecorder;

use super::*;
use crate::testing::counted;

#[tokio::test(start_paused = true)]
async fn a_call_is_counted_once_it_has_ended_and_its_finish_once_it_is_written() {
    let metrics = DebuggingRecorder::new();
    let _here = metrics::set_default_local_recorder(&metrics);
    let recorder = Recorder::open();
    recorder.fail(2);
    let gateway = gateway(&recorder, Disconnect::Drain, [json(ANSWER)]);
    let answer = gateway.oneshot(request(CHAT)).await.unwrap();
    assert_eq!(text(answer.into_body()).await, ANSWER);

    let counted = counted(&metrics.snapshotter());
    for (name, value) in [
        ("tollgate_calls_total chat_completions complete", "1"),
        ("tollgate_call_seconds chat_completions complete", "1"),
        ("tollgate_finish_retries_total", "2"),
        ("tollgate_finish_seconds", "1"),
    ] {
        assert_eq!(counted.get(name).map(String::as_str), Some(value), "{name} of {counted:#?}");
    }
    assert!(!counted.contains_key("tollgate_finish_failures_total"), "{counted:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_finish_that_the_store_refuses_is_counted_and_not_tried_again() {
    let metrics = DebuggingRecorder::new();
    let _here = metrics::set_default_local_recorder(&metrics);
    let recorder = Recorder::open();
    recorder.refuses.store(true, Ordering::SeqCst);
    let gateway = gateway(&recorder, Disconnect::Drain, [json(ANSWER)]);
    let answer = gateway.oneshot(request(CHAT)).await.unwrap();
    assert_eq!(answer.status(), http::StatusCode::SERVICE_UNAVAILABLE);
    drop(text(answer.into_body()).await);
    tokio::time::sleep(MINUTE).await;

    assert_eq!(recorder.written(), 1, "it was tried again");
    let counted = counted(&metrics.snapshotter());
    assert_eq!(
        counted.get("tollgate_finish_failures_total").map(String::as_str),
        Some("1"),
        "{counted:#?}"
    );
    assert!(!counted.contains_key("tollgate_finish_retries_total"), "{counted:#?}");
}
