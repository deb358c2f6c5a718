//! New prices.

use serde_json::{Value, json};
use tokio_postgres::types::Type;

use super::{Operator, one};
use crate::{
    domain::{
        price::{ModelPrice, Tier},
        role::Role,
    },
    postgres::{
        door::DoorRole,
        statement::Statement,
        store::{column, own_claims},
    },
    store::StoreError,
};

const IMPORT: Statement = Statement::new(include_str!("../sql/import_prices.sql"), &[Type::TEXT]);

impl Operator {
    /// Puts these prices in force, and returns how many are new. Where a price did not change, its row stays
    /// the one in force; models that are not among these keep their prices. All of them or none.
    ///
    /// The ids of the prices that are passed in are not used: the database names its own rows.
    ///
    /// # Errors
    /// A price is negative, or the store is away.
    pub async fn import_prices<'a>(
        &self,
        prices: impl IntoIterator<Item = &'a ModelPrice>,
    ) -> Result<u64, StoreError> {
        let prices: Value = prices.into_iter().map(document).collect();
        let claims = own_claims(None, Some(Role::Platform.as_str()));
        let rows =
            self.door.run(&claims, DoorRole::Platform, &IMPORT, &[&prices.to_string()]).await?;
        Ok(u64::try_from(column::<i64>(one(&rows)?, 0)?).unwrap_or(0))
    }
}

fn document(price: &ModelPrice) -> Value {
    json!({
        "model": price.model,
        "provider": price.provider,
        "mode": price.mode,
        "per_request": price.per_request.nanos(),
        "input_tokens_max": price.input_tokens_max,
        "output_tokens_max": price.output_tokens_max,
        "tiers": price.tiers.iter().map(tier).collect::<Value>(),
    })
}

fn tier(tier: &Tier) -> Value {
    json!({
        "from_input_tokens": tier.from_input_tokens,
        "input": tier.rates.input,
        "cached_read": tier.rates.cached_read,
        "cache_write_5m": tier.rates.cache_write_5m,
        "cache_write_1h": tier.rates.cache_write_1h,
        "output": tier.rates.output,
        "reasoning": tier.rates.reasoning,
    })
}
