//! Movers that are killed, wherever they are, while calls go on.

use std::{process::Stdio, time::Duration};

use tokio::io::{AsyncBufReadExt, BufReader};
use tollgate::postgres::{Place, places::Step};

use crate::{
    calls::nothing_lost,
    command::{must, run, tollgate},
    crowd::Crowd,
    harness::{Dice, House, Org, RICH, Setup},
    street::{FAR, far, far_database},
};

/// Moves the organization, and kills the mover some moments after it has said `when`, if it does.
async fn move_and_kill(house: &House, org: &Org, to: &Place, when: Step, moments: usize) {
    let id = org.id.to_string();
    let mut arguments = vec!["org", "move", &id, "--to", to.placement()];
    if *to == far() {
        arguments.extend(["--database", FAR]);
    }
    let mut child = tollgate(house, &arguments).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line == when.to_string() {
            tokio::time::sleep(Duration::from_millis(moments.try_into().unwrap())).await;
            child.start_kill().unwrap();
            break;
        }
    }
    child.wait().await.unwrap();
}

async fn finish(house: &House, org: &Org, to: &Place) {
    let id = org.id.to_string();
    let mut arguments = vec!["org", "move", &id, "--to", to.placement()];
    if *to == far() {
        arguments.extend(["--database", FAR]);
    }
    must(house, &arguments).await;
    let shown = must(house, &["org", "show", &id]).await;
    assert_eq!(shown["placement"]["kind"], to.placement());
    assert_eq!(
        (&shown["placement"]["moving_to"], &shown["placement"]["moved_from"]),
        (&().into(), &().into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mover_that_is_killed_at_any_moment_loses_nothing_and_is_taken_over() {
    let placements = vec![(FAR.to_owned(), far_database().await)];
    let move_wait = Duration::from_secs(2);
    let house = House::with(Setup { placements, move_wait, ..Setup::default() }).await;
    let org = house.organization(RICH).await;
    let crowd = Crowd::gather(&house, &org);
    crowd.goes_on(20).await;
    let mut dice = Dice::new(7);
    let mut at = Place::Row;
    let steps =
        [Step::HeldUp, Step::Copying, Step::Moved, Step::Removing, Step::Preparing, Step::HeldUp];
    for (round, when) in steps.into_iter().enumerate() {
        let to = [Place::Schema, far(), Place::Row][round % 3].clone();
        move_and_kill(&house, &org, &to, when, dice.below(60)).await;
        let shown = must(&house, &["org", "show", &org.id.to_string()]).await;
        eprintln!("killed at {when}: {}", shown["placement"]);
        if round % 2 == 1 {
            // Undone, if it can be; it is then where it was, and moves all the same.
            let (_, undone, said) =
                run(&house, &["org", "move", &org.id.to_string(), "--abort"]).await;
            assert!(
                undone || said.contains("has moved already") || said.contains("not being moved"),
                "{said}"
            );
            if undone {
                crowd.goes_on(20).await;
                finish(&house, &org, &at).await;
            }
        }
        finish(&house, &org, &to).await;
        crowd.goes_on(20).await;
        at = to;
    }
    let answers = crowd.disperse().await;
    eprintln!("{answers:?}");
    nothing_lost(&house, &[(&org, answers)]).await;
    house.close().await;
}
