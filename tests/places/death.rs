//! Movers that die at any step, while calls go on.

use std::{os::unix::process::ExitStatusExt, process::Stdio, time::Duration};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tollgate::{
    domain::switch::Switch,
    postgres::{
        Place,
        places::{MoveError, Mover, Step, Whereabouts},
    },
    store::admin::{OrganizationAdmin, SwitchAdmin},
};

use super::{
    calls::nothing_lost,
    command::{must, run, tollgate},
    crowd::Crowd,
    harness::{Ask, Dice, House, Org, RICH, Setup, until},
    street::{FAR, connect, far, far_database, rows},
    walk::Walk,
};

async fn house(move_wait: Duration) -> House {
    let placements = vec![(FAR.to_owned(), far_database().await)];
    House::with(Setup { placements, move_wait, ..Setup::default() }).await
}

/// How an operator moves the organization.
fn moving<'a>(id: &'a str, to: &'a Place) -> Vec<&'a str> {
    let mut arguments = vec!["org", "move", id, "--to", to.placement()];
    if *to == far() {
        arguments.extend(["--database", FAR]);
    }
    arguments
}

/// Moves the organization, and kills the mover some moments after it has said `when`. Whether it was not faster.
async fn move_and_kill(house: &House, id: &str, to: &Place, when: Step, moments: usize) -> bool {
    let mut child = tollgate(house, &moving(id, to)).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    loop {
        let line = lines.next_line().await.unwrap();
        let line = line.unwrap_or_else(|| panic!("it has never said: {when}"));
        if line == when.to_string() {
            break;
        }
    }
    tokio::time::sleep(Duration::from_millis(moments.try_into().unwrap())).await;
    // Refused where it has ended already.
    child.start_kill().ok();
    let status = child.wait().await.unwrap();
    assert!(status.signal() == Some(9) || status.success(), "{status}");
    status.signal() == Some(9)
}

/// Waits until both servers have noticed that the mover is dead.
async fn buried(house: &House) {
    let movers = "select count(*) from pg_stat_activity
                    where datname = current_database() and application_name = 'tollgate move'";
    for config in [&house.database, &house.setup.placements[0].1] {
        let client = connect(config).await;
        until("the mover's sessions are gone", async || {
            client.query_one(movers, &[]).await.unwrap().get::<_, i64>(0) == 0
        })
        .await;
    }
}

async fn shown(house: &House, id: &str) -> Value {
    must(house, &["org", "show", id]).await["placement"].clone()
}

async fn finish(house: &House, id: &str, to: &Place) {
    must(house, &moving(id, to)).await;
    let shown = shown(house, id).await;
    assert_eq!(shown["kind"], to.placement());
    assert_eq!((&shown["moving_to"], &shown["moved_from"]), (&Value::Null, &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mover_that_is_killed_at_any_moment_loses_nothing_and_is_taken_over() {
    let house = house(Duration::from_secs(2)).await;
    let org = house.organization(RICH).await;
    let id = org.id.to_string();
    let crowd = Crowd::gather(&house, &org);
    crowd.goes_on(20).await;
    let mut dice = Dice::new(7);
    let mut at = Place::Row;
    let steps =
        [Step::HeldUp, Step::Copying, Step::Moved, Step::Removing, Step::Preparing, Step::HeldUp];
    for (round, when) in steps.into_iter().enumerate() {
        let (mut moments, mut tries) = (dice.below(60), 0);
        let to = loop {
            let to = match at {
                Place::Row => Place::Schema,
                Place::Schema => far(),
                Place::Database(_) => Place::Row,
            };
            if move_and_kill(&house, &id, &to, when, moments).await {
                break to;
            }
            // It has arrived: once more, from there, and sooner.
            (at, moments, tries) = (to, moments / 2, tries + 1);
            assert!(tries < 10, "nobody was killed at: {when}");
        };
        buried(&house).await;
        let left = shown(&house, &id).await;
        eprintln!("killed {moments} ms after {when}: {left}");
        if left["held_up"] == false {
            crowd.goes_on(20).await;
        }
        if round % 2 == 1 {
            abort(&house, &org, &at, &to, &left).await;
            crowd.goes_on(20).await;
        }
        finish(&house, &id, &to).await;
        crowd.goes_on(20).await;
        at = to;
    }
    let answers = crowd.disperse().await;
    eprintln!("{answers:?}");
    nothing_lost(&house, &[(&org, answers)]).await;
    house.close().await;
}

/// Undoes what was left, if it can be; the organization is then where it was, and at rest.
async fn abort(house: &House, org: &Org, at: &Place, to: &Place, left: &Value) {
    let id = org.id.to_string();
    let (_, undone, said) = run(house, &["org", "move", &id, "--abort"]).await;
    if left["moving_to"].is_string() {
        assert!(undone, "{said}");
        assert_eq!(rows(house, org.id, to).await, i64::from(*to == Place::Row));
        finish(house, &id, at).await;
    } else {
        let moved = left["moved_from"].is_string();
        let why = if moved { "has moved already" } else { "is not being moved" };
        assert!(!undone && said.contains(why), "{left}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn until_it_has_moved_a_move_can_be_undone_and_then_only_finished() {
    let house = house(Duration::from_millis(200)).await;
    let org = house.organization(RICH).await;
    let (mover, places) = (Mover::new(house.places.clone()), &house.places);
    let mut from = Place::Row;
    for (step, to) in [
        (Step::Preparing, Place::Schema),
        (Step::Copying, far()),
        (Step::HeldUp, Place::Row),
        (Step::Moved, Place::Schema),
        (Step::Removing, far()),
    ] {
        let has_moved = matches!(step, Step::Moved | Step::Removing);
        let left = if has_moved {
            Whereabouts {
                place: to.clone(),
                moving_to: None,
                held_up: false,
                moved_from: Some(from.clone()),
            }
        } else {
            let held_up = step == Step::HeldUp;
            Whereabouts {
                place: from.clone(),
                moving_to: Some(to.clone()),
                held_up,
                moved_from: None,
            }
        };
        let dies = async || {
            let mut walk = Walk::begin(places.clone(), org.id, &to);
            walk.reaches(step).await;
            walk.dies().await;
            assert_eq!(places.whereabouts(org.id).await.unwrap(), left, "{step}");
            let status = house.ask(&org, &Ask::chat()).await.status;
            assert_eq!(status, if left.held_up { 503 } else { 200 }, "{step}");
        };
        let at_rest = async |place: &Place| {
            let standing = places.whereabouts(org.id).await.unwrap();
            assert_eq!((&standing.place, standing.held_up), (place, false), "{step}");
            assert_eq!((standing.moving_to, standing.moved_from), (None, None), "{step}");
            let other = if *place == to { &from } else { &to };
            assert_eq!(rows(&house, org.id, other).await, i64::from(*other == Place::Row));
            assert_eq!(house.ask(&org, &Ask::chat()).await.status, 200, "{step}");
        };
        dies().await;
        if has_moved {
            let refused = mover.abort(org.id).await;
            assert!(matches!(refused, Err(MoveError::Moved)), "{step}: {refused:?}");
            assert_eq!(places.whereabouts(org.id).await.unwrap(), left, "{step}");
            // Run again, it has nothing to copy.
            assert_eq!(mover.move_to(org.id, &to).await.unwrap(), None, "{step}");
        } else {
            mover.abort(org.id).await.unwrap();
            at_rest(&from).await;
            dies().await;
            assert!(mover.move_to(org.id, &to).await.unwrap().is_some(), "{step}");
        }
        at_rest(&to).await;
        from = to;
    }
    house.check().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_fails_in_its_last_write_is_undone_with_all_that_was_in_the_old_place() {
    let house = house(Duration::from_millis(200)).await;
    let org = house.organization(RICH).await;
    let mover = Mover::new(house.places.clone());
    mover.move_to(org.id, &Place::Schema).await.unwrap();
    house.operator.turn_on(org.id, &Switch::Organization, Some("unpaid")).await.unwrap();
    let mut walk = Walk::begin(house.places.clone(), org.id, &far());
    walk.reaches(Step::HeldUp).await;
    // The directory cannot be written, and the old place has been left already.
    let other = house.stranger().await;
    let lock = format!(
        "begin; select from tollgate.organizations where organization_id = '{}' for update",
        org.id
    );
    other.batch_execute(&lock).await.unwrap();
    let unsure = walk.arrives().await.unwrap_err();
    assert!(matches!(unsure, MoveError::Unsure(_)), "{unsure}");
    other.batch_execute("rollback").await.unwrap();
    let left = house.places.whereabouts(org.id).await.unwrap();
    assert_eq!((&left.place, left.held_up, &left.moving_to), (&Place::Schema, true, &Some(far())));
    assert_eq!(house.ask(&org, &Ask::chat()).await.status, 503);

    mover.abort(org.id).await.unwrap();
    assert!(house.operator.organization(org.id).await.unwrap().suspended);
    let switches = house.operator.switches(org.id).await.unwrap();
    assert_eq!(switches.operator_reason.as_deref(), Some("unpaid"));
    assert_eq!(house.ask(&org, &Ask::chat()).await.status, 403);
    house.operator.turn_off(org.id, &Switch::Organization).await.unwrap();
    until("its calls go on", async || house.ask(&org, &Ask::chat()).await.status == 200).await;
    assert_eq!(rows(&house, org.id, &far()).await, 0);
    house.check().await;
    house.close().await;
}
