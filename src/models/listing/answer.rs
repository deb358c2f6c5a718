//! The answers, in each vendor's JSON format.

use std::sync::Arc;

use serde_json::{Value, json};

use super::target::{Page, Target};
use crate::{
    domain::{dialect::Dialect, price::ModelPrice},
    refusal::Refusal,
    store::{Prices, Standing},
};

/// The release date of every model, which is unknown.
const CREATED: u64 = 0;
const CREATED_AT: &str = "1970-01-01T00:00:00Z";

/// The answer for a caller with this standing.
pub(super) fn to(
    target: Target,
    standing: &Standing,
    prices: &Prices,
    dialect: Dialect,
) -> Result<Value, Refusal> {
    if let Some(scope) = standing.suspended {
        return Err(Refusal::Suspended(scope));
    }
    let book = prices.current();
    let allowed = &standing.policy.models;
    match target {
        Target::One(id) => match book.get(&id) {
            Some(price) if allowed.allows(&id) => Ok(model(price, dialect)),
            _ => Err(Refusal::ModelNotFound(id)),
        },
        Target::All(page) => {
            let mut models: Vec<_> =
                book.iter().filter(|price| allowed.allows(&price.model)).collect();
            models.sort_unstable_by(|one, other| one.model.cmp(&other.model));
            Ok(list(&page, models, dialect))
        }
    }
}

fn list(page: &Page, models: Vec<&Arc<ModelPrice>>, dialect: Dialect) -> Value {
    let (models, has_more) = page.cut(models, |price| &price.model);
    let data: Vec<Value> = models.iter().map(|price| model(price, dialect)).collect();
    match dialect {
        Dialect::OpenAi => json!({"object": "list", "data": data}),
        Dialect::Anthropic => json!({
            "data": data,
            "has_more": has_more,
            "first_id": models.first().map(|price| &price.model),
            "last_id": models.last().map(|price| &price.model),
        }),
    }
}

fn model(price: &ModelPrice, dialect: Dialect) -> Value {
    match dialect {
        Dialect::OpenAi => {
            json!({"id": price.model, "object": "model", "created": CREATED, "owned_by": price.provider})
        }
        Dialect::Anthropic => {
            json!({"type": "model", "id": price.model, "display_name": price.model, "created_at": CREATED_AT})
        }
    }
}
