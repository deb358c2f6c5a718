//! Copies prices with their ids to every place, because usage rows name prices by id.

use tokio_postgres::types::Type;

use super::PostgresStore;
use crate::{
    domain::role::Role,
    postgres::{
        Query,
        door::DoorRole,
        one_schema::OneSchema,
        rows::{column, own_claims, unexpected},
    },
    store::StoreError,
};

const ROWS: Query = Query::new(include_str!("../sql/statements/places/price_rows.sql"), &[]);
const ADD: Query = Query::new(
    include_str!("../sql/statements/places/add_price_rows.sql"),
    &[Type::TEXT, Type::TEXT],
);

impl PostgresStore {
    /// Copies the prices of the main database to all other places. If a place is unavailable, the others still get
    /// them.
    ///
    /// # Errors
    /// A database is unavailable.
    pub async fn copy_prices(&self) -> Result<(), StoreError> {
        self.read().await?;
        let further = self.further().values().cloned();
        let mut outcome = Ok(());
        for place in further.chain(self.schemas().into_values()) {
            let copied = self.copy_prices_to(&place).await;
            outcome = outcome.and(copied);
        }
        outcome
    }

    pub(super) async fn copy_prices_to(&self, place: &OneSchema) -> Result<(), StoreError> {
        let claims = own_claims(None, Some(Role::Platform.as_str()));
        let rows = self.main().door().run(&claims, DoorRole::Platform, &ROWS, &[]).await?;
        let row = rows.first().ok_or_else(|| unexpected("no prices"))?;
        let (prices, tiers): (&str, &str) = (column(row, 0)?, column(row, 1)?);
        place.door().run(&claims, DoorRole::Platform, &ADD, &[&prices, &tiers]).await.map(drop)
    }
}
