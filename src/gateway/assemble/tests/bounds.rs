//! Each bound of the configuration reaches the part that enforces it: every test sets a distinct value.

use std::num::NonZeroU32;

use http_body::Frame;
use http_body_util::StreamBody;

use super::*;
use crate::{
    clock::unix_seconds,
    domain::policy::{Policy, Rates},
    gateway::config::Server,
};

/// A body that never comes.
fn never() -> impl Body<Data = Bytes, Error = Infallible> + Send {
    StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, Infallible>>())
}

#[tokio::test]
async fn a_body_is_read_up_to_server_body_bytes_max() {
    for (bytes_max, status) in [(CHAT.len(), 200), (CHAT.len() - 1, 413)] {
        let street = Street::with(|config| config.server.body_bytes_max = bytes_max).await;
        assert_eq!(street.call().await.0, status);
    }
}

#[tokio::test]
async fn as_many_calls_are_open_as_server_calls_in_flight_max() {
    let street = Street::with(|config| config.server.calls_in_flight_max = 2).await;
    let open = tokio::spawn(street.open());
    tokio::task::yield_now().await;
    assert_eq!(street.call().await.0, 200);
    let another = tokio::spawn(street.open());
    tokio::task::yield_now().await;
    assert_eq!(street.call().await.0, 503);
    open.abort();
    another.abort();
}

#[tokio::test]
async fn a_body_is_waited_for_as_long_as_server_body_read_timeout() {
    let wait = Duration::from_secs(7);
    let street = Street::with(|config| config.server.body_read_timeout = wait).await;
    assert_eq!((street.send(never()).await.0, street.begun.elapsed().as_secs()), (408, 7));
}

#[tokio::test]
async fn an_answer_takes_as_long_as_server_answer_timeout() {
    let wait = Duration::from_secs(7);
    let street = Street::with(|config| config.server.answer_timeout = wait).await;
    let provider =
        service_fn(|_: Request<RequestBody>| async { Ok::<_, Infallible>(Response::new(never())) });
    let request = street.request(Full::<Bytes>::from(CHAT));
    let answer = street.gateway.stack.layer(provider).oneshot(request).await.unwrap();
    assert_eq!((answer.status().as_u16(), street.begun.elapsed().as_secs()), (502, 7));
}

#[tokio::test]
async fn an_answer_is_read_on_for_as_long_as_server_drain_max_and_within_its_own_time() {
    let seconds = Duration::from_secs;
    for (set, expected) in [(None, 70), (Some(seconds(7)), 8), (Some(seconds(90)), 70)] {
        let street = Street::with(|config| {
            config.server.answer_timeout = seconds(70);
            config.server.drain_max = set;
        })
        .await;
        let provider = service_fn(|_: Request<RequestBody>| async {
            Ok::<_, Infallible>(Response::new(never()))
        });
        let request = street.request(Full::<Bytes>::from(CHAT));
        let call = street.gateway.stack.layer(provider).oneshot(request);
        // The client leaves after a second.
        assert!(timeout(seconds(1), call).await.is_err());
        while street.store().written(street.organization).unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(street.begun.elapsed().as_secs(), expected, "{set:?}");
    }
}

#[tokio::test]
async fn the_server_has_the_bounds_of_its_section() {
    let seconds = Duration::from_secs;
    let street = Street::with(|config| {
        config.server = Server {
            connections_max: 17,
            connection_streams_max: 22,
            connection_age_max: seconds(23),
            head_bytes_max: 24_000,
            header_read_timeout: seconds(18),
            write_stall_timeout: seconds(19),
            shutdown_grace: seconds(20),
            finish_grace: seconds(21),
            ..Server::default()
        };
    })
    .await;
    let Bounds {
        connections_max,
        connection_streams_max,
        connection_age_max,
        head_bytes_max,
        header_read_timeout,
        write_stall_timeout,
        shutdown_grace,
    } = street.gateway.bounds;
    assert_eq!(connections_max.get(), 17);
    assert_eq!((connection_streams_max, head_bytes_max), (22, 24_000));
    assert_eq!(connection_age_max, seconds(23));
    assert_eq!(
        [header_read_timeout, write_stall_timeout, shutdown_grace, street.gateway.finish_grace],
        [18, 19, 20, 21].map(seconds)
    );
}

#[tokio::test]
async fn a_replica_grants_its_share_of_a_rate() {
    for (replica_index, expected) in [(Some(0), 3), (Some(1), 2), (None, 2)] {
        let street = Street::with(|config| {
            config.limits.replicas = NonZeroU32::new(2).unwrap();
            config.limits.replica_index = replica_index;
        })
        .await;
        let rates = Rates { requests_per_minute: NonZeroU32::new(5), ..Rates::default() };
        let policy = Policy { rates, ..Policy::default() };
        street.store().set_policy(street.organization, policy).unwrap();
        let mut passed = 0;
        while street.call().await.0 == 200 {
            passed += 1;
        }
        assert_eq!(passed, expected, "{replica_index:?}");
    }
}

#[tokio::test]
async fn the_record_keeps_as_many_bytes_as_audit_capture_bytes_max() {
    let street = Street::with(|config| config.audit.capture_bytes_max = 30).await;
    assert_eq!(street.call().await.0, 200);
    let written = street.store().written(street.organization).unwrap();
    let record = written.last().unwrap().finish.record.clone().unwrap();
    assert_eq!(
        (record.request.as_deref(), record.response.as_deref(), record.truncated),
        (Some(&CHAT[..30]), Some(&ANSWER[..30]), true)
    );
}

#[tokio::test]
async fn a_token_is_good_for_as_long_after_its_end_as_identity_leeway() {
    // Tokens expire by the machine's clock: the leeway leaves half a minute for delays of this test.
    for (leeway, status) in [(0, 401), (30, 200)] {
        let leeway = Duration::from_secs(leeway);
        let mut street = Street::with(|config| config.identity.leeway = leeway).await;
        let claims = serde_json::json!({
            "iss": street.issuer_url,
            "aud": "tollgate",
            "sub": "ann",
            "organization_id": street.organization,
            "role": "member",
            "exp": unix_seconds(),
        });
        street.token = street.issuer.sign(&claims).unwrap();
        assert_eq!(street.call().await.0, status, "{leeway:?}");
    }
}
