//! Recomputed bills: by the prices that the calls name, and by other prices.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

use super::{Operator, claims, one};
use crate::{
    domain::{
        credits::Credits,
        ids::{OrganizationId, PriceId, RequestId},
        instant::{Moment, rfc3339_micros},
        price::{Agreement, ModelPrice, PriceBook, Quote},
        usage::Usage,
    },
    postgres::{
        prices::{self, count},
        query::{Parameter, Query},
        rows::{column, unexpected},
    },
    store::{
        StoreError, StoreFuture,
        admin::{
            AgreementAdmin, Bill, BillAdmin, Difference, OtherPrices, PriceAdmin, Rebill,
            RebillWindow,
        },
    },
};

const WINDOW: Query = Query::new(
    include_str!("../sql/statements/credits/window.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT, Type::TEXT],
);
const CALLS: Query = Query::new(
    include_str!("../sql/statements/credits/settled_calls.sql"),
    &[Type::UUID, Type::TEXT, Type::INT8, Type::INT8, Type::INT8, Type::UUID, Type::INT4],
);
const NAMED: Query = Query::new(
    include_str!("../sql/statements/prices/prices_named.sql"),
    &[Type::UUID, Type::UUID_ARRAY],
);

/// The number of calls that one statement reads.
const SLICE: i32 = 2_000;
/// The most differences that are listed. All differences are counted.
const NAMED_MAX: usize = 100;

/// A settled call, as it is stored.
struct Settled {
    arrived_micros: i64,
    request_id: RequestId,
    model: String,
    usage: Usage,
    clamped: bool,
    cost: Credits,
    price_id: PriceId,
    markup_bps: u32,
    released: bool,
    held: Credits,
    used: Credits,
    charged: Option<Credits>,
}

/// The prices of one organization's calls.
#[derive(Default)]
struct Known {
    named: HashMap<PriceId, Option<Arc<ModelPrice>>>,
    other: Option<(PriceBook, Agreement)>,
}

impl BillAdmin for Operator {
    fn rebill<'a>(
        &'a self,
        id: OrganizationId,
        window: &'a RebillWindow,
        other: &'a OtherPrices,
    ) -> StoreFuture<'a, Rebill> {
        Box::pin(async move {
            let at = if let OtherPrices::At(at) = other { Some(at.as_str()) } else { None };
            let (from, until) = (window.from.as_str(), window.until.as_ref().map(Moment::as_str));
            let rows = self.run(id, &WINDOW, &[&id.as_uuid(), &from, &until, &at]).await?;
            let row = one(&rows)?;
            let mut rebill = Rebill {
                organization_id: id,
                name: column(row, 0)?,
                window_micros: (column(row, 2)?, column(row, 3)?),
                total: Bill::default(),
                models: BTreeMap::new(),
                differences: Vec::new(),
                differences_count: 0,
            };
            let mut known = Known::default();
            if !matches!(other, OtherPrices::None) {
                let at = rfc3339_micros(column(row, 4)?);
                let book = self.price_book_at(Some(&at)).await?;
                known.other = Some((book, self.agreement(id, Some(&at)).await?));
            }
            let mut after: Option<(i64, Uuid)> = None;
            loop {
                let calls = self.settled(id, rebill.window_micros, after).await?;
                let Some(last) = calls.last() else { return Ok(rebill) };
                after = Some((last.arrived_micros, last.request_id.as_uuid()));
                self.learn(id, &calls, &mut known).await?;
                for call in &calls {
                    rebill.add(call, &known);
                }
            }
        })
    }
}

impl Operator {
    async fn settled(
        &self,
        id: OrganizationId,
        (from, until): (i64, i64),
        after: Option<(i64, Uuid)>,
    ) -> Result<Vec<Settled>, StoreError> {
        let claims = claims(id);
        let (at, last) = (after.map(|(at, _)| at), after.map(|(_, id)| id));
        let parameters: [Parameter<'_>; 7] =
            [&id.as_uuid(), &self.places.sealed(&claims), &from, &until, &at, &last, &SLICE];
        self.any(id, &CALLS, &parameters).await?.iter().map(settled).collect()
    }

    /// Reads the prices that these calls name and that were not read before.
    async fn learn(
        &self,
        id: OrganizationId,
        calls: &[Settled],
        known: &mut Known,
    ) -> Result<(), StoreError> {
        let mut ids: Vec<Uuid> = calls
            .iter()
            .filter(|call| !known.named.contains_key(&call.price_id))
            .map(|call| call.price_id.as_uuid())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Ok(());
        }
        let rows = self.any(id, &NAMED, &[&id.as_uuid(), &ids]).await?;
        known.named.extend(ids.into_iter().map(|id| (PriceId::new(id), None)));
        let prices = prices::prices(&rows, 0, prices::listed)?;
        known.named.extend(prices.into_iter().map(|price| (price.price_id, Some(Arc::new(price)))));
        Ok(())
    }
}

impl Rebill {
    fn add(&mut self, call: &Settled, known: &Known) {
        let named = known.named.get(&call.price_id).and_then(Option::as_ref);
        let recomputed = named.and_then(|price| call.recompute(price));
        if !call.is_right(recomputed) {
            self.differences_count = self.differences_count.saturating_add(1);
            if self.differences.len() < NAMED_MAX {
                let Settled { request_id, cost, charged, .. } = *call;
                self.differences.push(Difference { request_id, cost, charged, recomputed });
            }
        }
        let mut bill = Bill {
            calls: 1,
            clamped: u64::from(call.clamped),
            charged: call.charged.unwrap_or_default(),
            recomputed: recomputed.unwrap_or_default(),
            ..Bill::default()
        };
        if let Some((book, agreement)) = &known.other {
            match agreement.quote(book, &call.model).and_then(|quote| call.cost_by(&quote)) {
                Some(cost) => bill.other = cost,
                None => bill.unpriced = 1,
            }
        }
        self.total.add(bill);
        self.models.entry(call.model.clone()).or_default().add(bill);
    }
}

impl Bill {
    fn add(&mut self, more: Self) {
        let sum = |one: Credits, other: Credits| one.checked_add(other).unwrap_or(Credits::MAX);
        self.calls = self.calls.saturating_add(more.calls);
        self.clamped = self.clamped.saturating_add(more.clamped);
        self.charged = sum(self.charged, more.charged);
        self.recomputed = sum(self.recomputed, more.recomputed);
        self.other = sum(self.other, more.other);
        self.unpriced = self.unpriced.saturating_add(more.unpriced);
    }
}

impl Settled {
    /// What the call costs by the price it names.
    fn recompute(&self, price: &Arc<ModelPrice>) -> Option<Credits> {
        // A price of another model cannot be this call's price.
        let named = price.model == self.model;
        let quote = named.then(|| Quote::new(Arc::clone(price), self.markup_bps))?;
        let cost = self.cost_by(&quote)?;
        // A call with absurd usage costs its whole hold.
        let by_hold = self.clamped
            && cost != self.cost
            && (self.held == self.cost || self.held == Credits::ZERO);
        Some(if by_hold { self.cost } else { cost })
    }

    fn cost_by(&self, quote: &Quote) -> Option<Credits> {
        if self.released { Some(Credits::ZERO) } else { quote.cost(&self.usage).ok() }
    }

    /// Whether usage, price, cost and ledger agree.
    fn is_right(&self, recomputed: Option<Credits>) -> bool {
        // An expired hold may have been charged the usage of a heartbeat that exceeds the final cost. The difference is
        // not refunded.
        let charged = self.charged == Some(self.cost)
            || (self.used > self.cost && self.charged.is_some_and(|charged| charged > self.cost));
        recomputed == Some(self.cost) && charged
    }
}

fn settled(row: &Row) -> Result<Settled, StoreError> {
    let credits = |index| column(row, index).map(Credits::from_nanos);
    let tokens = |index| column(row, index).and_then(count);
    let markup = u32::try_from(column::<i32>(row, 12)?);
    Ok(Settled {
        arrived_micros: column(row, 0)?,
        request_id: RequestId::new(column(row, 1)?),
        model: column(row, 2)?,
        usage: Usage {
            input: tokens(3)?,
            cached_read: tokens(4)?,
            cache_write_5m: tokens(5)?,
            cache_write_1h: tokens(6)?,
            output: tokens(7)?,
            reasoning: tokens(8)?,
        },
        clamped: column(row, 9)?,
        cost: credits(10)?,
        price_id: PriceId::new(column(row, 11)?),
        markup_bps: markup.map_err(|_| unexpected("a negative mark-up"))?,
        released: column(row, 13)?,
        held: credits(14)?,
        used: credits(15)?,
        charged: column::<Option<i64>>(row, 16)?.map(Credits::from_nanos),
    })
}
