//! Prices agreed with one organization, and its mark-up.

use serde_json::{Value, json};
use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

use super::{Operator, claims, one, prices::document};
use crate::{
    domain::{
        ids::OrganizationId,
        instant::Moment,
        price::{Agreement, ModelPrice},
    },
    postgres::{
        error::PostgresError,
        prices::{self, AGREEMENT},
        query::{Parameter, Query},
        rows::column,
    },
    store::{
        StoreError, StoreFuture,
        admin::{AgreementAdmin, AgreementError, Begins},
    },
};

const AGREE: Query = Query::new(
    include_str!("../sql/statements/prices/agree_prices.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT, Type::BOOL],
);
const SET_MARKUP: Query = Query::new(
    include_str!("../sql/statements/prices/set_markup.sql"),
    &[Type::UUID, Type::INT4, Type::TEXT],
);

impl AgreementAdmin for Operator {
    fn agreement<'a>(
        &'a self,
        id: OrganizationId,
        at: Option<&'a str>,
    ) -> StoreFuture<'a, Agreement> {
        Box::pin(async move {
            let claims = claims(id);
            let parameters: [Parameter<'_>; 3] = [&id.as_uuid(), &self.places.sealed(&claims), &at];
            prices::agreement(&self.run(id, &AGREEMENT, &parameters).await?)
        })
    }

    fn agree_prices<'a>(
        &'a self,
        id: OrganizationId,
        prices: &'a [ModelPrice],
        from: Option<&'a Moment>,
    ) -> StoreFuture<'a, Begins, AgreementError> {
        Box::pin(async move {
            let with_id = |price| {
                let mut document = document(price);
                if let Some(document) = document.as_object_mut() {
                    document.insert("price_id".to_owned(), json!(Uuid::now_v7()));
                }
                document
            };
            self.agree(id, prices.iter().map(with_id).collect(), from, false).await
        })
    }

    fn withdraw_price<'a>(
        &'a self,
        id: OrganizationId,
        model: &'a str,
        from: Option<&'a Moment>,
    ) -> StoreFuture<'a, Begins, AgreementError> {
        Box::pin(async move {
            let price = json!([{"price_id": Uuid::now_v7(), "model": model, "per_request": 0, "tiers": []}]);
            self.agree(id, price, from, true).await
        })
    }

    fn set_markup<'a>(
        &'a self,
        id: OrganizationId,
        markup_bps: u32,
        from: Option<&'a Moment>,
    ) -> StoreFuture<'a, Begins, AgreementError> {
        Box::pin(async move {
            let markup_bps = i32::try_from(markup_bps).unwrap_or(i32::MAX);
            let parameters: [Parameter<'_>; 3] =
                [&id.as_uuid(), &markup_bps, &from.map(Moment::as_str)];
            begins(&self.run(id, &SET_MARKUP, &parameters).await.map_err(refused)?)
        })
    }
}

impl Operator {
    async fn agree(
        &self,
        id: OrganizationId,
        prices: Value,
        from: Option<&Moment>,
        withdrawn: bool,
    ) -> Result<Begins, AgreementError> {
        let (prices, from) = (prices.to_string(), from.map(Moment::as_str));
        let parameters: [Parameter<'_>; 4] = [&id.as_uuid(), &prices, &from, &withdrawn];
        begins(&self.run(id, &AGREE, &parameters).await.map_err(refused)?)
    }
}

fn begins(rows: &[Row]) -> Result<Begins, AgreementError> {
    let at: Option<i64> = column(one(rows)?, 0)?;
    Ok(at.map_or(Begins::Past, Begins::AtMicros))
}

fn refused(error: StoreError) -> AgreementError {
    if PostgresError::is(&error, "23505") { AgreementError::SameMoment } else { error.into() }
}
