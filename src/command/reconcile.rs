//! `tollgate reconcile`: are the books of every organization right?

use std::process::ExitCode;

use serde_json::{Value, json};

use super::{
    Failure,
    credits::{json_of_balance, text_of_balance},
    operator::{Operator, begin},
};
use crate::{
    gateway::DatabaseError,
    store::admin::{BookAdmin, Reconciliation},
};

pub(super) async fn run(operator: Operator) -> Result<ExitCode, Failure> {
    let (store, output) = begin(&operator).await?;
    let books = store.reconcile().await.map_err(DatabaseError::from)?;
    output.result(text_of(&books), &json_of(&books))?;
    Ok(if books.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text_of(books: &Reconciliation) -> String {
    let Reconciliation { organizations, charged, holds_open, balance, broken, .. } = books;
    let mut text = format!(
        "{organizations} organizations. {} Charged so far: {charged} dollars. Open holds: {holds_open}.",
        text_of_balance(balance)
    );
    if books.expired > 0 {
        let unbilled = format!(
            "\n{} holds ran out of time without an end of their calls, which may have used {} dollars that were not billed, at the most.",
            books.expired, books.unbilled_max
        );
        text.push_str(&unbilled);
    }
    if broken.is_empty() {
        text.push_str("\nAll books are right.");
    }
    for one in broken {
        for finding in &one.broken {
            text.extend(["\nBROKEN ", &one.organization_id.to_string(), ": ", finding]);
        }
    }
    text
}

fn json_of(books: &Reconciliation) -> Value {
    let broken: Vec<_> = books
        .broken
        .iter()
        .map(|one| json!({"organization_id": one.organization_id, "findings": one.broken}))
        .collect();
    json!({
        "ok": broken.is_empty(),
        "organizations": books.organizations,
        "credits": json_of_balance(&books.balance),
        "charged": books.charged,
        "holds_open": books.holds_open,
        "expired": books.expired,
        "unbilled_max": books.unbilled_max,
        "broken": broken,
    })
}
