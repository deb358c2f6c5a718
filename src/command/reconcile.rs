//! `tollgate reconcile`: checks the books of every organization.

use std::process::ExitCode;

use super::{
    Failure,
    credits::text_of_balance,
    operator::{Operator, begin},
};
use crate::{admin::books, store::admin::Reconciliation};

pub(super) async fn run(operator: Operator) -> Result<ExitCode, Failure> {
    let (store, output) = begin(&operator).await?;
    let checked = books::check(&store).await?;
    output.result(text_of(&checked), &books::document(&checked))?;
    Ok(if checked.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text_of(books: &Reconciliation) -> String {
    let Reconciliation { organizations, charged, holds_open, balance, broken, .. } = books;
    let mut text = format!(
        "{organizations} organizations. {} Charged so far: {charged} dollars. Open holds: {holds_open}.",
        text_of_balance(balance)
    );
    if books.expired > 0 {
        let unbilled = format!(
            "\n{} holds expired before their calls ended. These calls may have used up to {} dollars that were not billed.",
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
