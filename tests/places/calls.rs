//! Moving while calls go on: nothing is lost, doubled or somebody else's.

use std::time::Instant;

use tollgate::postgres::{
    Place,
    places::{Mover, Step},
};

use crate::{
    crowd::{Answers, Crowd},
    harness::{House, Org, RICH, Setup, cost},
    street::{FAR, far, far_database},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_on_while_their_organization_moves() {
    let placements = vec![(FAR.to_owned(), far_database().await)];
    let house = House::with(Setup { placements, ..Setup::default() }).await;
    let (org, neighbour) = (house.organization(RICH).await, house.organization(RICH).await);
    let (crowd, neighbours) = (Crowd::gather(&house, &org), Crowd::gather(&house, &neighbour));
    let mover = Mover::new(house.places.clone()).telling(|step: Step| eprintln!("{step}"));
    crowd.goes_on(50).await;
    for to in [Place::Schema, far(), Place::Row] {
        let begun = Instant::now();
        let copied = mover.move_to(org.id, &to).await.unwrap().unwrap();
        eprintln!(
            "{to}: {:?}, of which calls waited {:?} for {} of {} rows",
            begun.elapsed(),
            copied.held_up,
            copied.rows_held_up,
            copied.rows.values().sum::<i64>()
        );
        crowd.goes_on(30).await;
    }
    let (answers, theirs) = (crowd.disperse().await, neighbours.disperse().await);
    eprintln!("{answers:?}; neighbours {theirs:?}");
    assert_eq!(theirs.unavailable, 0);
    nothing_lost(&house, &[(&org, answers), (&neighbour, theirs)]).await;
    house.close().await;
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
