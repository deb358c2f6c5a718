//! Prices agreed with one organization, and its mark-up.

use serde_json::{Value, json};
use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

use super::{Operator, Parameter, claims, one, prices::document};
use crate::{
    domain::{
        ids::OrganizationId,
        instant::Moment,
        price::{Agreement, ModelPrice},
    },
    postgres::{
        prices::{self, AGREEMENT},
        rows::column,
        statement::Statement,
    },
    store::StoreError,
};

const AGREE: Statement = Statement::new(
    include_str!("../sql/statements/prices/agree_prices.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT, Type::BOOL],
);
const SET_MARKUP: Statement = Statement::new(
    include_str!("../sql/statements/prices/set_markup.sql"),
    &[Type::UUID, Type::INT4, Type::TEXT],
);

/// When an agreement begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    /// At this moment, in microseconds since the Unix epoch.
    AtMicros(i64),
    /// Never: the moment is past, and calls have been settled since.
    Past,
}

impl Operator {
    /// What is agreed with an organization and in force at a moment (RFC 3339), or now.
    ///
    /// # Errors
    /// The store is away.
    pub async fn agreement(
        &self,
        id: OrganizationId,
        at: Option<&str>,
    ) -> Result<Agreement, StoreError> {
        let claims = claims(id);
        let parameters: [Parameter<'_>; 3] = [&id.as_uuid(), &self.places.sealed(&claims), &at];
        prices::agreement(&self.run(id, &AGREEMENT, &parameters).await?)
    }

    /// Agrees on these prices, from a moment on (now, without one; a day begins at midnight in the
    /// organization's time zone). They take the place of the list's, without a mark-up. All of them or
    /// none. Of a price, only its model, its rates and the price of a request count.
    ///
    /// # Errors
    /// One of the models has a price that begins at that very moment already, a price is negative, or as
    /// [`organization`](Self::organization).
    pub async fn agree_prices<'a>(
        &self,
        id: OrganizationId,
        prices: impl IntoIterator<Item = &'a ModelPrice>,
        from: Option<&Moment>,
    ) -> Result<Begins, StoreError> {
        let with_id = |price| {
            let mut document = document(price);
            if let Some(document) = document.as_object_mut() {
                document.insert("price_id".to_owned(), json!(Uuid::now_v7()));
            }
            document
        };
        self.agree(id, prices.into_iter().map(with_id).collect(), from, false).await
    }

    /// Ends what was agreed on for a model: from a moment on (as for
    /// [`agree_prices`](Self::agree_prices)) the list price holds, with the mark-up.
    ///
    /// # Errors
    /// As [`agree_prices`](Self::agree_prices).
    pub async fn withdraw_price(
        &self,
        id: OrganizationId,
        model: &str,
        from: Option<&Moment>,
    ) -> Result<Begins, StoreError> {
        let price =
            json!([{"price_id": Uuid::now_v7(), "model": model, "per_request": 0, "tiers": []}]);
        self.agree(id, price, from, true).await
    }

    /// Adds this many basis points to list prices, from a moment on (as for
    /// [`agree_prices`](Self::agree_prices)).
    ///
    /// # Errors
    /// It is above [`MARKUP_BPS_MAX`](crate::domain::price::MARKUP_BPS_MAX), another one begins at that
    /// very moment, or as [`organization`](Self::organization).
    pub async fn set_markup(
        &self,
        id: OrganizationId,
        markup_bps: u32,
        from: Option<&Moment>,
    ) -> Result<Begins, StoreError> {
        let markup_bps = i32::try_from(markup_bps).unwrap_or(i32::MAX);
        let parameters: [Parameter<'_>; 3] =
            [&id.as_uuid(), &markup_bps, &from.map(Moment::as_str)];
        begins(&self.run(id, &SET_MARKUP, &parameters).await?)
    }

    async fn agree(
        &self,
        id: OrganizationId,
        prices: Value,
        from: Option<&Moment>,
        withdrawn: bool,
    ) -> Result<Begins, StoreError> {
        let (prices, from) = (prices.to_string(), from.map(Moment::as_str));
        let parameters: [Parameter<'_>; 4] = [&id.as_uuid(), &prices, &from, &withdrawn];
        begins(&self.run(id, &AGREE, &parameters).await?)
    }
}

fn begins(rows: &[Row]) -> Result<Begins, StoreError> {
    let at: Option<i64> = column(one(rows)?, 0)?;
    Ok(at.map_or(Begins::Past, Begins::AtMicros))
}
