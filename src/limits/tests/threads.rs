//! Calls that arrive at the same time, on several threads.

use std::{sync::Barrier, task::Poll, thread};

use tokio::runtime::Handle;
use tokio_test::task;

use super::{
    scopes::{House, KINDS, Kind, drive_past_three, of, rates},
    *,
};
use crate::domain::scope::Scope;

/// Runs these futures on four threads at once and returns their outputs. The clock of this test stands still on all.
fn on_threads<F: Future<Output: Send>>(
    count: usize,
    work: impl Fn(usize) -> F + Sync,
) -> Vec<F::Output> {
    const THREADS: usize = 4;
    let (clock, start, work) = (Handle::current(), Barrier::new(THREADS), &work);
    let run = |thread: usize| {
        let _clock = clock.enter();
        start.wait();
        let one = |number| {
            let mut work = task::spawn(work(number));
            loop {
                if let Poll::Ready(done) = work.poll() {
                    return done;
                }
                thread::yield_now();
            }
        };
        (thread..count).step_by(THREADS).map(one).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || run(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[tokio::test(start_paused = true)]
async fn a_hundred_first_calls_of_somebody_never_seen_share_one_rate() {
    let scopes = Scope::ALL.into_iter().map(Some).chain([None]);
    for (scope, kind) in scopes.flat_map(|scope| KINDS.map(|kind| (scope, kind))) {
        let house = House::new();
        match scope {
            Some(Scope::Organization) => {
                house.limit(Scope::Organization, "", "*", rates(kind, 7));
            }
            Some(scope) => house.limit(scope, Scope::EACH, "*", rates(kind, 7)),
            None => house.policy(rates(kind, 7)),
        }
        // Other keys are seen for the first time at the same moment.
        let passed = on_threads(200, async |number| {
            let shared = number % 2 == 0;
            let other = u128::try_from(number).unwrap() + 9;
            let tenant = match (shared, scope) {
                (true, Some(Scope::User)) => house.caller("ada", other, other),
                (true, _) => house.caller(&number.to_string(), 1, 1),
                (false, _) => house.caller(&number.to_string(), other, other),
            };
            let call = of("small");
            let status = house.send(&tenant, &call).await.0;
            assert!(status == 200 || status == 429, "{status}");
            (status == 200, shared, call)
        });
        let count = |of_the_shared| {
            passed.iter().filter(|(passed, shared, _)| *passed && *shared == of_the_shared).count()
        };
        if matches!(scope, None | Some(Scope::Organization)) {
            assert_eq!(count(true) + count(false), 7, "{scope:?} {kind:?}");
        } else {
            assert_eq!((count(true), count(false)), (7, 100), "{scope:?} {kind:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_meet_many_limits_in_any_order_neither_wait_for_ever_nor_lose_a_place() {
    let house = House::new();
    house.policy(rates(Kind::InFlight, 1_000));
    for scope in [Scope::Team, Scope::User, Scope::Key] {
        for pattern in ["*", "small", "s*", "sm*", "sma*"] {
            house.limit(scope, Scope::EACH, pattern, rates(Kind::InFlight, 3));
        }
    }
    let passed = on_threads(4_000, async |number| {
        let number = u128::try_from(number).unwrap();
        let (thread, round) = (number % 8, number / 8);
        let (user, team, key) = ((thread * 7 + round) % 5, round % 3, (thread + round) % 4);
        let tenant = house.caller(&user.to_string(), team, key);
        let call = of("small");
        let status = house.send(&tenant, &call).await.0;
        call.tell_ended(&report(0));
        status == 200
    });
    // How many calls meet three others depends on the scheduler.
    assert!(passed.into_iter().filter(|passed| *passed).count() >= 1_000);
    // All calls have ended, so all places are free again.
    for user in 0..5 {
        let ada = house.caller(&user.to_string(), user, user);
        drive_past_three(&house, &ada, "small").await;
    }
}
