//! Moves while calls go on: no row is lost, doubled, or in the wrong organization.

use std::time::{Duration, Instant};

use tollgate::{
    domain::policy::{Disconnect, Policy},
    postgres::{Place, places::Step},
};

use super::{
    crowd::{Answers, Crowd},
    harness::{Ask, House, Org, RICH, Setup, cost, until},
    residence::house,
    street::{FAR, far, far_database},
    walk::Walk,
};

/// How long the end of an answer waits until it is written. A move that holds calls up for longer has clients see it.
const FINISH_WAIT: Duration = Duration::from_secs(5);
/// What is mostly some tenths of a second, on a machine that has much else to do.
const MOSTLY: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_on_while_their_organization_moves() {
    let house = house().await;
    let (org, neighbour) = (house.organization(RICH).await, house.organization(RICH).await);
    let (crowd, neighbours) = (Crowd::gather(&house, &org), Crowd::gather(&house, &neighbour));
    let mut held_up = Vec::new();
    for to in [Place::Schema, far(), Place::Row] {
        held_up.push(moves_among(&house, &org, &to, &crowd).await);
    }
    held_up.sort();
    assert!(held_up[1] < MOSTLY, "{held_up:?}");
    let (answers, theirs) = (crowd.disperse().await, neighbours.disperse().await);
    assert_eq!((answers.unavailable, theirs.unavailable), (0, 0));
    nothing_lost(&house, &[(&org, answers), (&neighbour, theirs)]).await;
    house.close().await;
}

/// Moves the organization while its crowd calls: it is answered in the old place while what may be long is copied, and
/// in the new place when the organization is there. How long its calls waited.
pub(crate) async fn moves_among(house: &House, org: &Org, to: &Place, crowd: &Crowd) -> Duration {
    let begun = Instant::now();
    crowd.goes_on(20).await;
    let mut walk = Walk::begin(house.places.clone(), org.id, to);
    walk.reaches(Step::Copying).await;
    crowd.goes_on(20).await;
    walk.reaches(Step::Moved).await;
    crowd.goes_on(20).await;
    let copied = walk.arrives().await.unwrap().unwrap();
    crowd.goes_on(20).await;
    eprintln!(
        "{to}: {:?}, of which calls waited {:?} for {} of {} rows",
        begun.elapsed(),
        copied.held_up,
        copied.rows_held_up,
        copied.rows.values().sum::<i64>()
    );
    assert!(copied.held_up < FINISH_WAIT, "{to}: {:?}", copied.held_up);
    copied.held_up
}

/// Each call that was answered is in the books once, at its true price; so may be those whose end came too late.
pub(crate) async fn nothing_lost(house: &House, organizations: &[(&Org, Answers)]) {
    let rows = house.check().await;
    for (org, answers) in organizations {
        let own: Vec<_> = rows.iter().filter(|row| row.organization == org.id.as_uuid()).collect();
        let count = u64::try_from(own.len()).unwrap();
        assert!(
            count >= answers.ok && count <= answers.ok + answers.unavailable,
            "{count} in the books, {answers:?}"
        );
        let charged: i64 = own.iter().map(|row| row.charged).sum();
        assert_eq!(charged, own.iter().map(|row| cost(&row.served)).sum::<i64>());
        assert_eq!(house.balance(org).await, (RICH - charged, 0, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_waits_too_long_is_refused_and_what_it_has_to_write_is_written_later() {
    let placements = vec![(FAR.to_owned(), far_database().await)];
    let move_wait = Duration::from_secs(1);
    let house = House::with(Setup { placements, move_wait, ..Setup::giving_up() }).await;
    let cancel = Policy { disconnect: Disconnect::Cancel, ..Policy::default() };
    let org = house.organization_with(RICH, cancel).await;
    let neighbour = house.organization(RICH).await;
    let ask = Ask::chat().mock("output-tokens", 4);
    let mut open = house.client().await;
    open.send(&ask.clone().streamed().mock("hang", "body").bytes(&org.token)).await;
    assert_eq!(open.head().await.unwrap().status, 200);
    open.read_to(b"walnut").await;

    let mut walk = Walk::begin(house.places.clone(), org.id, &far());
    walk.reaches(Step::HeldUp).await;
    // One call ends now, and cannot be written.
    open.reset();
    for _ in 0..2 {
        // Whoever comes now waits as long as is configured, and is refused.
        let begun = Instant::now();
        let refused = house.ask(&org, &ask).await;
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
        assert_eq!(refused.json()["error"]["code"], "unavailable");
        assert!(begun.elapsed() > move_wait / 2, "it has not waited");
        // Nobody else is.
        assert_eq!(house.ask(&neighbour, &ask).await.status, 200);
    }
    let own = async || {
        let rows = house.rows().await;
        rows.into_iter().filter(|row| row.organization == org.id.as_uuid()).collect::<Vec<_>>()
    };
    assert_eq!(own().await, []);
    walk.arrives().await.unwrap().unwrap();
    until("the end of the call is written", async || own().await.len() == 1).await;
    assert_eq!(house.ask(&org, &ask).await.status, 200);
    house.check().await;
    let own = own().await;
    assert_eq!(own.iter().map(|row| &*row.ending).collect::<Vec<_>>(), ["abandoned", "complete"]);
    let charged: i64 = own.iter().map(|row| row.charged).sum();
    assert!(own[0].charged > 0, "{own:?}");
    assert_eq!(house.balance(&org).await, (RICH - charged, 0, 0));
    house.close().await;
}
