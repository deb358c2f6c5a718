//! List prices: puts new ones in force, and reads current and scheduled ones.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Operator, books::AT_ONCE, claims, one};
use crate::{
    domain::{
        ids::OrganizationId,
        instant::Moment,
        price::{ModelPrice, PriceBook, Tier},
        price_file::PriceFile,
        price_review::review,
        role::Role,
    },
    postgres::{
        PostgresError,
        door::DoorRole,
        prices,
        query::{Parameter, Query},
        rows::{column, own_claims},
    },
    store::{
        StoreError, StoreFuture,
        admin::{
            Import, ImportError, ImportOptions, OrganizationAdmin, PriceAdmin, ScheduledPrice,
        },
    },
};

const IMPORT: Query = Query::new(
    include_str!("../sql/statements/prices/import_prices.sql"),
    &[Type::TEXT, Type::TEXT],
);
const BOOK_AT: Query =
    Query::new(include_str!("../sql/statements/prices/price_book_at.sql"), &[Type::TEXT]);
const SCHEDULED: Query =
    Query::new(include_str!("../sql/statements/prices/scheduled_prices.sql"), &[Type::TEXT]);
const CALLED: Query = Query::new(
    include_str!("../sql/statements/prices/models_called.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT_ARRAY, Type::INT8, Type::UUID, Type::INT4],
);

/// The number of calls that one statement looks at.
const SLICE: i32 = 20_000;

impl PriceAdmin for Operator {
    fn import_price_file<'a>(
        &'a self,
        file: &'a PriceFile,
        options: &'a ImportOptions,
    ) -> StoreFuture<'a, Import, ImportError> {
        Box::pin(async move {
            const ATTEMPTS_MAX: usize = 4;
            let from = options.effective_from.as_ref().map(Moment::in_utc);
            for _ in 0..ATTEMPTS_MAX {
                let book = self.price_book_at(from.as_deref()).await?;
                let mut review = review(file, &book, options.accept_jumps);
                let dropped = review.missing.iter();
                let dropped = dropped.filter(|missing| !options.part || missing.skipped.is_some());
                let dropped: Vec<String> = dropped.map(|missing| missing.model.clone()).collect();
                if !dropped.is_empty() {
                    let in_use = self.models_in_use(&dropped).await?;
                    review.object_to_missing(&in_use, options.part);
                }
                if options.leave_out {
                    review.leave_out();
                }
                if options.dry_run || !review.objections.is_empty() {
                    return Ok(Import { review, added: None });
                }
                let changes = review.changes.iter().map(|change| {
                    let mut document = document(&change.after);
                    // The review compared the new price with this price, so it may replace no other.
                    let replaces = change.before.as_ref().map(|before| before.price_id);
                    if let Some(document) = document.as_object_mut() {
                        document.insert("replaces".to_owned(), json!(replaces));
                    }
                    document
                });
                match self.import(changes.collect(), from.as_deref()).await {
                    Ok(added) => return Ok(Import { review, added: Some(added) }),
                    // Another import came first: review the file again.
                    Err(error) if PostgresError::is(&error, "TG409") => {}
                    Err(error) if PostgresError::is(&error, "22023") => {
                        return Err(ImportError::Past);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            Err(StoreError::Unavailable("others import prices at the same time".into()).into())
        })
    }

    fn price_book_at<'a>(&'a self, at: Option<&'a str>) -> StoreFuture<'a, PriceBook> {
        Box::pin(async move {
            let rows = self
                .places
                .main()
                .door()
                .run(&everywhere(), DoorRole::Platform, &BOOK_AT, &[&at])
                .await?;
            prices::book(&rows)
        })
    }

    fn scheduled_prices<'a>(
        &'a self,
        model: Option<&'a str>,
    ) -> StoreFuture<'a, Vec<ScheduledPrice>> {
        Box::pin(async move {
            let rows = self
                .places
                .main()
                .door()
                .run(&everywhere(), DoorRole::Platform, &SCHEDULED, &[&model])
                .await?;
            let mut moments = Vec::with_capacity(rows.len());
            for row in &rows {
                let (id, at): (Uuid, i64) = (column(row, 0)?, column(row, 14)?);
                if moments.last().is_none_or(|(last, _)| *last != id) {
                    moments.push((id, at));
                }
            }
            let prices = prices::prices(&rows, 0, prices::listed)?;
            let scheduled = prices.into_iter().zip(moments);
            Ok(scheduled
                .map(|(price, (_, at))| ScheduledPrice { price, effective_from_micros: at })
                .collect())
        })
    }
}

impl Operator {
    /// Puts these prices in force in every place without a review, and returns how many are new: all of them or none.
    /// If a price did not change, its row stays in force. Models that are not named keep their prices.
    ///
    /// The ids of the passed prices are ignored: the database assigns ids to its rows.
    ///
    /// # Errors
    /// A price is negative, or a database does not answer. That database gets the missing prices with the next import.
    pub async fn import_prices<'a>(
        &self,
        prices: impl IntoIterator<Item = &'a ModelPrice>,
    ) -> Result<u64, StoreError> {
        self.import(prices.into_iter().map(document).collect(), None).await
    }

    async fn import(&self, prices: Value, from: Option<&str>) -> Result<u64, StoreError> {
        let parameters: [Parameter<'_>; 2] = [&prices.to_string(), &from];
        let door = self.places.main().door();
        let rows = door.run(&everywhere(), DoorRole::Platform, &IMPORT, &parameters).await?;
        let added = column::<i64>(one(&rows)?, 0)?;
        self.places.copy_prices().await?;
        Ok(u64::try_from(added).unwrap_or(0))
    }

    /// Which of these models any organization has called in the last thirty days.
    async fn models_in_use(&self, models: &[String]) -> Result<BTreeSet<String>, StoreError> {
        let mut in_use = BTreeSet::new();
        let mut after = OrganizationId::new(Uuid::nil());
        loop {
            let page = self.organizations_after(after).await?;
            let Some(last) = page.last() else { return Ok(in_use) };
            after = *last;
            let called = stream::iter(page)
                .map(|id| self.models_called(id, models))
                .buffer_unordered(AT_ONCE);
            in_use = called
                .try_fold(in_use, |mut all, some| async move {
                    all.extend(some);
                    Ok(all)
                })
                .await?;
            if in_use.len() == models.len() {
                return Ok(in_use);
            }
        }
    }

    async fn models_called(
        &self,
        id: OrganizationId,
        models: &[String],
    ) -> Result<BTreeSet<String>, StoreError> {
        let mut called = BTreeSet::new();
        let mut after: Option<(i64, Uuid)> = None;
        loop {
            let (at, last) = (after.map(|(at, _)| at), after.map(|(_, id)| id));
            let claims = claims(id);
            let parameters: [Parameter<'_>; 6] =
                [&id.as_uuid(), &self.places.sealed(&claims), &models, &at, &last, &SLICE];
            let rows = self.any(id, &CALLED, &parameters).await?;
            let Some(row) = rows.first() else { return Ok(called) };
            called.extend(column::<Vec<String>>(row, 0)?);
            if column::<i64>(row, 1)? < i64::from(SLICE) || called.len() == models.len() {
                return Ok(called);
            }
            after = Some((column(row, 2)?, column(row, 3)?));
        }
    }
}

/// The claims of the operator, without an organization.
fn everywhere() -> String {
    own_claims(None, Some(Role::Platform.as_str()))
}

pub(super) fn document(price: &ModelPrice) -> Value {
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
