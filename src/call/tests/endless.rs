//! Answers that do not end: they are cut, and what they have delivered is charged.

use http::StatusCode;

use super::*;
use crate::domain::finish::Ending;

/// Sends this again and again, with or without pauses, until the receiver is closed.
fn without_end(
    sender: mpsc::Sender<std::io::Result<Bytes>>,
    event: String,
    pause: Duration,
) -> tokio::task::JoinHandle<usize> {
    tokio::spawn(async move {
        let mut sent = 0_usize;
        while sender.send(Ok(Bytes::from(event.clone()))).await.is_ok() {
            sent = sent.saturating_add(1);
            // A timer has a resolution of a millisecond, even for no time at all.
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
        sent
    })
}

fn delta(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
}

#[tokio::test]
async fn a_stream_far_beyond_its_cap_is_cut_and_what_was_delivered_is_paid() {
    // Once in many small pieces, and once in a few pieces that are larger than any token.
    for piece in ["walnut ".to_owned(), "walnut ".repeat(50_000)] {
        let recorder = Recorder::open();
        let (sender, streaming) = stream();
        let provider = without_end(sender, delta(&piece), Duration::ZERO);
        let answer = gateway(&recorder, Disconnect::Drain, [streaming])
            .oneshot(request(CHAT_STREAM))
            .await
            .unwrap();
        let text = text(answer.into_body()).await;
        assert!(text.starts_with(&delta(&piece)));
        assert!(text.ends_with("}\n\n") && text.contains("\"provider_failed\""));
        let delivered = text.matches(&*piece).count();
        let bytes = piece.len().saturating_mul(delivered);
        // The cap is 100 tokens; twice the held tokens and 16,384 more are tolerated.
        assert!(delivered > 16_384 || bytes > 128 * 16_384, "{delivered} pieces");
        assert!(delivered < 20_000 && bytes < 4 << 20, "{delivered} pieces");
        let finish = recorder.only_finish().await;
        assert_eq!(finish.ending, Ending::Failed);
        assert_counted_here(&finish, CHAT_STREAM, u64::try_from(bytes.div_ceil(4)).unwrap());
        assert!(provider.await.unwrap() >= delivered, "the provider is hung up on");
    }
}

#[tokio::test]
async fn an_answer_of_few_long_tokens_or_of_many_short_pieces_is_not_cut() {
    // The horizontal rule of a table is one token; some servers send one letter at a time. Neither exceeds the cap.
    for (piece, pieces) in [("-".repeat(100), 4_000), ("w".to_owned(), 40_000)] {
        let recorder = Recorder::open();
        let (sender, streaming) = stream();
        let sending = tokio::spawn(async move {
            let one = Bytes::from(delta(&piece));
            for _ in 0..pieces {
                sender.send(Ok(one.clone())).await.unwrap();
            }
            sender.send(Ok([STOP, DONE].concat().into())).await.unwrap();
        });
        let answer = gateway(&recorder, Disconnect::Drain, [streaming])
            .oneshot(request(CHAT_STREAM))
            .await
            .unwrap();
        let text = text(answer.into_body()).await;
        sending.await.unwrap();
        assert!(text.ends_with(DONE));
        assert_eq!(recorder.only_finish().await.ending, Ending::Complete);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_only_stays_alive_is_cut_in_time_and_what_was_delivered_is_paid() {
    let recorder = Recorder::open();
    let (sender, streaming) = stream();
    sender.send(Ok(DELTA.into())).await.unwrap();
    let pause = Duration::from_secs(15);
    let provider = without_end(sender, ": still here\n\n".to_owned(), pause);
    let begun = Instant::now();
    let answer = gateway(&recorder, Disconnect::Drain, [streaming])
        .oneshot(request(CHAT_STREAM))
        .await
        .unwrap();
    let text = text(answer.into_body()).await;
    assert!(text.starts_with(DELTA) && text.contains("\"provider_failed\""), "{text}");
    assert_took(begun, Duration::from_hours(1));
    let finish = recorder.only_finish().await;
    assert_eq!(finish.ending, Ending::Failed);
    assert_counted_here(&finish, CHAT_STREAM, 2);
    provider.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_byte_by_byte_for_ever_is_given_up_and_costs_its_hold() {
    let recorder = Recorder::open();
    let (sender, mut streaming) = stream();
    streaming.headers_mut().insert("content-type", "application/json".parse().unwrap());
    let provider = without_end(sender, " ".to_owned(), Duration::from_secs(15));
    let begun = Instant::now();
    let answer =
        gateway(&recorder, Disconnect::Drain, [streaming]).oneshot(request(CHAT)).await.unwrap();
    assert_took(begun, Duration::from_hours(1));
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    let finish = recorder.only_finish().await;
    assert_eq!((finish.ending, finish.status), (Ending::Failed, 502));
    assert_hold_charged(&finish);
    provider.await.unwrap();
}
