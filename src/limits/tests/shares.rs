//! One limit that several replicas share.

use futures_util::future::join_all;

use super::*;
use crate::domain::rate::Replica;

/// The layers of all replicas, in their order.
fn replicas(policy: &Policy, count: u32, numbered: bool) -> Vec<LimitsLayer> {
    let replica = Replica::of(NonZeroU32::new(count).unwrap());
    let replica = |index| if numbered { replica.numbered(index) } else { replica };
    let layer = |index| LimitsLayer::new(Policies::fixed(policy.clone())).replica(replica(index));
    (0..count).map(layer).collect()
}

/// How many of fifty requests in a row each replica lets pass.
async fn passed(layers: &[LimitsLayer]) -> Vec<usize> {
    let (tenant, mut passed) = (tenant(), Vec::new());
    for layer in layers {
        let statuses = join_all((0..50).map(|_| plain(layer, &tenant))).await;
        passed.push(statuses.into_iter().filter(|status| *status == 200).count());
    }
    passed
}

#[tokio::test(start_paused = true)]
async fn replicas_grant_a_rate_together_and_not_one_request_more() {
    assert_eq!(passed(&replicas(&policy(4, 0, 0), 2, true)).await, [2, 2]);
    assert_eq!(passed(&replicas(&policy(5, 0, 0), 2, true)).await, [3, 2]);
    assert_eq!(passed(&replicas(&policy(1, 0, 0), 2, true)).await, [1, 0]);
    assert_eq!(passed(&replicas(&policy(11, 0, 0), 3, true)).await, [4, 4, 3]);
}

#[tokio::test(start_paused = true)]
async fn replicas_that_know_no_number_never_grant_more_than_the_rate() {
    assert_eq!(passed(&replicas(&policy(5, 0, 0), 2, false)).await, [2, 2]);
    assert_eq!(passed(&replicas(&policy(1, 0, 0), 2, false)).await, [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_are_shared_too() {
    let layers = replicas(&policy(0, 0, 3), 2, true);
    let (tenant, calls) = (tenant(), [call(1), call(1), call(1), call(1), call(1)]);
    let mut statuses = Vec::new();
    for (layer, call) in [0, 0, 0, 1, 1].into_iter().zip(&calls) {
        statuses.push(send(&layers[layer], &tenant, call).await.0);
    }
    assert_eq!(statuses, [200, 200, 429, 200, 429]);
}

#[tokio::test(start_paused = true)]
async fn a_rate_that_falls_to_other_replicas_is_refused_for_now_and_not_for_ever() {
    let layers = replicas(&policy(0, 61, 0), 2, true);
    let tenant = tenant();
    let (status, headers) = send(&layers[1], &tenant, &call(31)).await;
    assert_eq!((status, &headers["retry-after"]), (429, &"60".parse().unwrap()));
    assert_eq!(send(&layers[0], &tenant, &call(31)).await.0, 200);
    // No replica ever lets this pass.
    assert_eq!(send(&layers[0], &tenant, &call(32)).await.0, 400);

    let none = replicas(&policy(1, 0, 0), 2, true).pop().unwrap();
    let (status, headers) = send(&none, &tenant, &call(1)).await;
    assert_eq!((status, &headers["retry-after"]), (429, &"60".parse().unwrap()));
    assert_eq!(headers["x-ratelimit-limit-requests"], "0");
    assert_eq!(headers["x-ratelimit-remaining-requests"], "0");
}
