//! Checks the books of every organization.

use serde_json::{Value, json};

use super::{credits, problem::Problem};
use crate::store::admin::{BookAdmin, Reconciliation};

pub(crate) async fn check(store: &impl BookAdmin) -> Result<Reconciliation, Problem> {
    Ok(store.reconcile().await?)
}

pub(crate) fn document(books: &Reconciliation) -> Value {
    let broken: Vec<_> = books
        .broken
        .iter()
        .map(|one| json!({"organization_id": one.organization_id, "findings": one.broken}))
        .collect();
    json!({
        "ok": broken.is_empty(),
        "organizations": books.organizations,
        "credits": credits::document(&books.balance),
        "charged": books.charged,
        "holds_open": books.holds_open,
        "expired": books.expired,
        "unbilled_max": books.unbilled_max,
        "broken": broken,
    })
}
