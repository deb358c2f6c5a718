//! The price book.

use tokio_postgres::Row;

use super::{
    statement::Statement,
    store::{PostgresStore, column, unexpected},
};
use crate::{
    domain::{
        credits::Credits,
        ids::PriceId,
        price::{ModelPrice, PriceBook, Rates, Tier},
    },
    store::{PriceStore, StoreError, StoreFuture},
};

const PRICE_BOOK: Statement = Statement::new(include_str!("sql/price_book.sql"), &[]);

impl PriceStore for PostgresStore {
    fn price_book(&self) -> StoreFuture<'_, PriceBook> {
        Box::pin(async move {
            let rows = self.pool().rows(&PRICE_BOOK, &[]).await?;
            let mut prices: Vec<ModelPrice> = Vec::new();
            for row in &rows {
                let price_id = PriceId::new(column(row, 0)?);
                match prices.last_mut() {
                    Some(last) if last.price_id == price_id => last.tiers.push(tier(row)?),
                    _ => prices.push(price(price_id, row)?),
                }
            }
            Ok(PriceBook::new(prices))
        })
    }
}

fn price(price_id: PriceId, row: &Row) -> Result<ModelPrice, StoreError> {
    Ok(ModelPrice {
        price_id,
        model: column(row, 1)?,
        provider: column(row, 2)?,
        mode: column(row, 3)?,
        per_request: Credits::from_nanos(column(row, 4)?),
        input_tokens_max: column::<Option<i64>>(row, 5)?.map(count).transpose()?,
        output_tokens_max: column::<Option<i64>>(row, 6)?.map(count).transpose()?,
        tiers: vec![tier(row)?],
    })
}

fn tier(row: &Row) -> Result<Tier, StoreError> {
    Ok(Tier {
        from_input_tokens: count(column(row, 7)?)?,
        rates: Rates {
            input: column(row, 8)?,
            cached_read: column(row, 9)?,
            cache_write_5m: column(row, 10)?,
            cache_write_1h: column(row, 11)?,
            output: column(row, 12)?,
            reasoning: column(row, 13)?,
        },
    })
}

fn count(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| unexpected("a negative count"))
}
