//! `tollgate budgets`: sets budgets, lets calls reach them, and shows the events.

use serde_json::{Value, json};
use uuid::Uuid;

use super::kit::{Dev, Folder, done, question};

/// The tokens of one call, by the books.
async fn used(folder: &Folder, organization: &str, scope: &str) -> Value {
    let shown = done(folder.path(), &format!("budgets show --org {organization}")).await;
    let budgets = shown["budgets"].as_array().unwrap();
    budgets.iter().find(|budget| budget["scope"] == scope).unwrap().clone()
}

#[tokio::test]
async fn each_person_has_tokens_of_its_own_for_a_day() {
    let folder = Folder::new();
    let dev = Dev::start(folder.path()).await;
    let (here, org) = (folder.path(), dev.organization());
    let [ann, bob] = ["--user ann", "--user bob"].map(|who| dev.issued(here, who));
    let (ann, bob) = (ann.await, bob.await);
    // One call is held as its prompt and 64 tokens, and comes to its prompt and the mock's 16.
    let set = format!("budgets set --org {org} --scope user --each --window day --tokens 100");
    let set = done(here, &set).await;
    assert_eq!(set["tokens_max"], 100, "{set}");

    let mut before = Vec::new();
    for (who, token) in [("ann", &ann), ("bob", &bob)] {
        let mut answered = 0;
        let refused = loop {
            match dev.call(token, &question(false)).await {
                (200, _) => answered += 1,
                refused => break refused,
            }
        };
        // Who never called before has a budget as well, and nobody uses up another's.
        assert!((1..=5).contains(&answered), "{who}: {answered} calls");
        assert_eq!(refused, (429, "budget_exceeded".to_owned()), "{who}");
        before.push(answered);
    }
    assert_eq!(before[0], before[1], "the same for each");
    let events = done(here, &format!("budgets events --org {org}")).await;
    let events = events["events"].as_array().unwrap();
    for who in ["ann", "bob"] {
        let refused = |event: &Value| event["scope_id"] == who && event["refused"] == true;
        assert!(events.iter().any(refused), "{events:?}");
    }

    done(here, &format!("budgets remove --org {org} --scope user --each --window day")).await;
    assert_eq!(dev.call(&ann, &question(false)).await.0, 200);
    dev.stop().await;
}

#[tokio::test]
async fn a_team_has_dollars_for_a_month() {
    let folder = Folder::new();
    let dev = Dev::start(folder.path()).await;
    let (here, org) = (folder.path(), dev.organization());
    let team = Uuid::new_v4();
    let inside = dev.issued(here, &format!("--user ann --team {team}")).await;
    let outside = dev.issued(here, "--user ann").await;
    // 64 tokens of output are 38,400 nano-dollars, 16 of them 9,600, and the prompt is next to nothing.
    let set = "--window month --credits 0.00006";
    let set = done(here, &format!("budgets set --org {org} --scope team --id {team} {set}")).await;
    assert_eq!(set["credits_max"], json!(60_000), "{set}");

    let mut answered = 0;
    let refused = loop {
        match dev.call(&inside, &question(false)).await {
            (200, _) => answered += 1,
            refused => break refused,
        }
    };
    assert_eq!(refused, (429, "budget_exceeded".to_owned()));
    assert!((1..=4).contains(&answered), "{answered} calls");
    assert_eq!(
        dev.call(&outside, &question(false)).await.0,
        200,
        "the same person, not in that team"
    );
    let shown = used(&folder, org, "team").await;
    let charged = shown["now"]["credits_used"].as_i64().unwrap();
    assert!(charged > 0 && charged <= 60_000, "{shown}");
    dev.stop().await;
}
