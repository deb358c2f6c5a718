//! Credits.

use serde_json::{Value, json};

use super::problem::{Input, Problem};
use crate::{
    domain::{credits::Credits, ids::OrganizationId},
    store::{
        Balance,
        admin::{CreditAdmin, GrantError, Granted},
    },
};

/// Checks that an amount can be granted.
pub(crate) fn amount(amount: Credits) -> Result<Credits, Input> {
    if amount > Credits::ZERO { Ok(amount) } else { Err(Input::NoAmount) }
}

pub(crate) async fn grant(
    store: &impl CreditAdmin,
    id: OrganizationId,
    granted: Credits,
    reference: Option<&str>,
) -> Result<Granted, Problem> {
    let granted = store.grant_credits(id, amount(granted)?, reference).await;
    granted.map_err(|error| match error {
        GrantError::OtherAmount => Problem::OtherAmount,
        GrantError::TooLarge => Problem::BalanceTooLarge,
        GrantError::Store(error) => Problem::of(id)(error),
    })
}

pub(crate) fn granted_document(id: OrganizationId, granted: &Granted) -> Value {
    json!({
        "organization_id": id,
        "credits": document(&granted.balance),
        "replayed": granted.replayed,
    })
}

/// A balance as part of a JSON document. Amounts are nano-dollars.
pub(crate) fn document(balance: &Balance) -> Value {
    json!({"posted": balance.posted, "held": balance.held, "debt": balance.debt})
}
