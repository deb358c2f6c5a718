//! The answers and the rows of the SQL functions that move money, on a real server.
//!
//! The cases are SQL, in `cases/*.sql`. A line with `## ` begins a case and describes it. Each further line is one
//! statement. A line with `--> ` is a row that the statement must return, or the code of its error. `words.sql` has the
//! helper functions and tables of the cases.

use tokio_postgres::{Client, SimpleQueryMessage};
use tollgate::postgres::cluster::testing;

const WORDS: &str = include_str!("cases/words.sql");

macro_rules! told {
    ($($name:ident: $file:literal,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                tell(include_str!(concat!("cases/", $file))).await;
            }
        )*
    };
}

told! {
    holds_are_granted_by_what_is_free_and_by_nothing_else: "holds.sql",
    ends_of_calls_take_what_they_cost_and_give_the_rest_back: "finishes.sql",
    budgets_cover_up_to_their_cap_in_each_window_of_a_caller: "budgets.sql",
    callers_meet_their_switches_and_rates_where_their_rows_are: "standing.sql",
    books_that_were_tampered_with_have_each_its_finding: "books.sql",
    rows_leave_a_place_and_come_into_another_as_they_were: "mover.sql",
}

struct Step<'a> {
    case: &'a str,
    statement: &'a str,
    expected: Vec<&'a str>,
}

async fn tell(cases: &str) {
    let client = testing::database().await.unwrap().connect().await.unwrap();
    client.batch_execute(WORDS).await.unwrap();
    let steps = steps(cases);
    assert!(steps.len() > 10, "{} steps: the file was not understood", steps.len());
    for Step { case, statement, expected } in steps {
        assert_eq!(rows(&client, statement).await, expected, "{case}: {statement}");
    }
}

fn steps(cases: &str) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    let mut case = "";
    for line in cases.lines().map(str::trim_end) {
        if let Some(title) = line.strip_prefix("## ") {
            case = title;
        } else if let Some(row) = line.strip_prefix("-->") {
            steps.last_mut().unwrap().expected.push(row.trim_start());
        } else if !line.is_empty() {
            steps.push(Step { case, statement: line, expected: Vec::new() });
        }
    }
    steps
}

/// Columns with a space between them; `-` is null. A row of nothing but empty text is none.
async fn rows(client: &Client, statement: &str) -> Vec<String> {
    match client.simple_query(statement).await {
        Ok(messages) => messages
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    let columns: Vec<_> =
                        (0..row.len()).map(|place| row.get(place).unwrap_or("-")).collect();
                    Some(columns.join(" ").trim_end().to_owned())
                }
                SimpleQueryMessage::CommandComplete(_)
                | SimpleQueryMessage::RowDescription(_)
                | _ => None,
            })
            .filter(|row| !row.is_empty())
            .collect(),
        Err(error) => vec![format!("ERROR {}", error.code().map_or("none", |code| code.code()))],
    }
}
