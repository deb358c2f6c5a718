//! The price book, and an organization's agreement.

use tokio_postgres::{Row, types::Type};

use super::{
    pool::Pool,
    query::Query,
    rows::{column, known, unexpected},
};
use crate::{
    context::Tenant,
    domain::{
        credits::Credits,
        ids::PriceId,
        price::{Agreement, ModelPrice, PriceBook, Rates, Tier},
    },
    store::StoreError,
};

const PRICE_BOOK: Query = Query::new(include_str!("sql/statements/prices/price_book.sql"), &[]);
pub(super) const AGREEMENT: Query = Query::new(
    include_str!("sql/statements/prices/agreement.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT],
);

/// All list prices that are in force now.
pub(super) async fn price_book(pool: &Pool) -> Result<PriceBook, StoreError> {
    book(&pool.rows(&PRICE_BOOK, &[]).await?)
}

/// The agreement with the tenant's organization; an error if the organization is not here.
pub(super) async fn agreed_with(pool: &Pool, tenant: &Tenant) -> Result<Agreement, StoreError> {
    let (id, now) = (tenant.organization_id().as_uuid(), None::<&str>);
    let rows = pool.rows(&AGREEMENT, &[&id, &pool.sealed(tenant.claims()), &now]).await;
    agreement(&rows.map_err(known)?)
}

/// Reads the rows of `price_book.sql`, or rows of the same shape.
pub(super) fn book(rows: &[Row]) -> Result<PriceBook, StoreError> {
    Ok(PriceBook::new(prices(rows, 0, listed)?))
}

/// Reads the rows of `agreement.sql`.
pub(super) fn agreement(rows: &[Row]) -> Result<Agreement, StoreError> {
    let Some(first) = rows.first() else { return Ok(Agreement::default()) };
    let markup = column::<i32>(first, 0)?;
    let markup = u32::try_from(markup).map_err(|_| unexpected("a negative mark-up"))?;
    // Without agreed prices there is one row without a price.
    let rows = if column::<Option<uuid::Uuid>>(first, 1)?.is_some() { rows } else { &[] };
    Ok(Agreement::new(markup, prices(rows, 1, agreed)?))
}

/// Reads prices from one row for each tier. The rows of one price are adjacent.
pub(super) fn prices(
    rows: &[Row],
    id: usize,
    read: impl Fn(PriceId, &Row) -> Result<(ModelPrice, Tier), StoreError>,
) -> Result<Vec<ModelPrice>, StoreError> {
    let mut prices: Vec<ModelPrice> = Vec::new();
    for row in rows {
        let (mut price, tier) = read(PriceId::new(column(row, id)?), row)?;
        match prices.last_mut() {
            Some(last) if last.price_id == price.price_id => last.tiers.push(tier),
            _ => {
                price.tiers.push(tier);
                prices.push(price);
            }
        }
    }
    Ok(prices)
}

pub(super) fn listed(price_id: PriceId, row: &Row) -> Result<(ModelPrice, Tier), StoreError> {
    let price = ModelPrice {
        price_id,
        model: column(row, 1)?,
        provider: column(row, 2)?,
        mode: column(row, 3)?,
        per_request: Credits::from_nanos(column(row, 4)?),
        input_tokens_max: column::<Option<i64>>(row, 5)?.map(count).transpose()?,
        output_tokens_max: column::<Option<i64>>(row, 6)?.map(count).transpose()?,
        tiers: Vec::new(),
    };
    Ok((price, tier(row, 7)?))
}

fn agreed(price_id: PriceId, row: &Row) -> Result<(ModelPrice, Tier), StoreError> {
    let price = ModelPrice {
        price_id,
        model: column(row, 2)?,
        provider: String::new(),
        mode: String::new(),
        per_request: Credits::from_nanos(column(row, 3)?),
        // The list price has the limits of the model.
        input_tokens_max: None,
        output_tokens_max: None,
        tiers: Vec::new(),
    };
    Ok((price, tier(row, 4)?))
}

fn tier(row: &Row, first: usize) -> Result<Tier, StoreError> {
    let at = |index: usize| first.saturating_add(index);
    Ok(Tier {
        from_input_tokens: count(column(row, first)?)?,
        rates: Rates {
            input: column(row, at(1))?,
            cached_read: column(row, at(2))?,
            cache_write_5m: column(row, at(3))?,
            cache_write_1h: column(row, at(4))?,
            output: column(row, at(5))?,
            reasoning: column(row, at(6))?,
        },
    })
}

pub(super) fn count(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| unexpected("a negative count"))
}
