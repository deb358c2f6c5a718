//! The account of an organization in a window of time, line by line.

use tokio_postgres::{Row, types::Type};

use super::{Operator, claims, one};
use crate::{
    domain::{
        credits::Credits,
        ids::{OrganizationId, PriceId, RequestId, TeamId},
        instant::Moment,
        statement::{Amounts, Line, Used},
        usage::Usage,
    },
    postgres::{
        prices::count,
        query::{Parameter, Query},
        rows::{column, unexpected},
    },
    store::{
        StoreError, StoreFuture,
        admin::{AccountAdmin, AccountWindow},
    },
};

const WINDOW: Query = Query::new(
    include_str!("../sql/statements/credits/account_window.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT, Type::TEXT],
);
const LINES: Query = Query::new(
    include_str!("../sql/statements/credits/account_lines.sql"),
    &[Type::UUID, Type::TEXT, Type::INT8, Type::INT8, Type::INT4],
);

/// The number of movements that one statement reads.
const SLICE: i32 = 2_000;

impl AccountAdmin for Operator {
    fn account_window<'a>(
        &'a self,
        id: OrganizationId,
        from: &'a Moment,
        until: Option<&'a Moment>,
    ) -> StoreFuture<'a, AccountWindow> {
        Box::pin(async move {
            let claims = claims(id);
            let (from, until) = (from.as_str(), until.map(Moment::as_str));
            let parameters: [Parameter<'_>; 4] =
                [&id.as_uuid(), &self.places.sealed(&claims), &from, &until];
            let rows = self.run(id, &WINDOW, &parameters).await?;
            let row = one(&rows)?;
            Ok(AccountWindow {
                organization_id: id,
                name: column(row, 0)?,
                time_zone: column(row, 1)?,
                from_micros: column(row, 2)?,
                until_micros: column(row, 3)?,
                is_final: column(row, 4)?,
                opening_seq: column(row, 5)?,
                opening: amounts(row, 6)?,
                closing_seq: column(row, 9)?,
                closing: amounts(row, 10)?,
            })
        })
    }

    fn account_lines<'a>(
        &'a self,
        window: &'a AccountWindow,
        after: i64,
    ) -> StoreFuture<'a, Vec<Line>> {
        Box::pin(async move {
            let id = window.organization_id;
            let claims = claims(id);
            let parameters: [Parameter<'_>; 5] =
                [&id.as_uuid(), &self.places.sealed(&claims), &after, &window.closing_seq, &SLICE];
            self.any(id, &LINES, &parameters).await?.iter().map(line).collect()
        })
    }
}

fn amounts(row: &Row, first: usize) -> Result<Amounts, StoreError> {
    let figure = |index: usize| column(row, first.saturating_add(index)).map(Credits::from_nanos);
    Ok(Amounts { posted: figure(0)?, held: figure(1)?, debt: figure(2)? })
}

fn line(row: &Row) -> Result<Line, StoreError> {
    Ok(Line {
        seq: column(row, 0)?,
        at_micros: column(row, 1)?,
        day: column(row, 2)?,
        kind: column(row, 3)?,
        request_id: column::<Option<_>>(row, 4)?.map(RequestId::new),
        reference: column(row, 5)?,
        change: amounts(row, 6)?,
        after: amounts(row, 9)?,
        user_id: column(row, 12)?,
        team_id: column::<Option<_>>(row, 13)?.map(TeamId::new),
        used: column::<Option<String>>(row, 14)?.map(|model| used(model, row)).transpose()?,
    })
}

fn used(model: String, row: &Row) -> Result<Used, StoreError> {
    let tokens = |index| column(row, index).and_then(count);
    let markup = u32::try_from(column::<i32>(row, 16)?);
    Ok(Used {
        model,
        price_id: column::<Option<_>>(row, 15)?.map(PriceId::new),
        markup_bps: markup.map_err(|_| unexpected("a negative mark-up"))?,
        usage: Usage {
            input: tokens(17)?,
            cached_read: tokens(18)?,
            cache_write_5m: tokens(19)?,
            cache_write_1h: tokens(20)?,
            output: tokens(21)?,
            reasoning: tokens(22)?,
        },
    })
}
