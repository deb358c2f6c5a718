//! Batches of the ends of calls, as the [`Coalescer`](crate::store::coalesce::Coalescer) forms them.

use std::borrow::Cow;

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{
    pool::Pool,
    query::{Parameter, Query},
    rows::{column, known, millis, own_claims, unexpected},
};
use crate::{
    domain::{
        credits::Credits,
        finish::{Finish, Finished, Record, Settlement},
        ids::{KeyId, OrganizationId, TeamId},
    },
    store::{StoreError, coalesce::Ended},
};

const FINISH: Query = Query::new(
    include_str!("sql/statements/calls/finish.sql"),
    &[
        Type::UUID,       // organization
        Type::TEXT,       // claims
        Type::UUID_ARRAY, // requests
        Type::INT8_ARRAY, // arrivals
        Type::TEXT_ARRAY, // users
        Type::UUID_ARRAY, // teams
        Type::UUID_ARRAY, // keys
        Type::INT8_ARRAY, // amounts
        Type::INT8_ARRAY, // tokens
        Type::UUID_ARRAY, // prices
        Type::INT4_ARRAY, // mark-ups
        Type::BOOL_ARRAY, // releases
        Type::TEXT_ARRAY, // the callers' request ids
        Type::TEXT_ARRAY, // endpoints
        Type::TEXT_ARRAY, // models
        Type::TEXT_ARRAY, // models that answered
        Type::TEXT_ARRAY, // providers
        Type::BOOL_ARRAY, // streams
        Type::TEXT_ARRAY, // endings
        Type::INT4_ARRAY, // statuses
        Type::INT8_ARRAY, // input
        Type::INT8_ARRAY, // cached read
        Type::INT8_ARRAY, // cache write, five minutes
        Type::INT8_ARRAY, // cache write, one hour
        Type::INT8_ARRAY, // output
        Type::INT8_ARRAY, // reasoning
        Type::BOOL_ARRAY, // estimated
        Type::BOOL_ARRAY, // clamped
        Type::INT8_ARRAY, // latency
        Type::INT8_ARRAY, // first byte
        Type::BOOL_ARRAY, // whether there is a record
        Type::TEXT_ARRAY, // requests of the records
        Type::TEXT_ARRAY, // responses of the records
        Type::BOOL_ARRAY, // truncated
    ],
);

/// One column of a batch.
macro_rules! each {
    ($calls:ident, |$call:ident| $of:expr) => {
        $calls.iter().map(|$call| $of).collect::<Vec<_>>()
    };
}

/// Writes the ends of these calls durably. Returns one answer for each call, in their order.
pub(super) async fn finish(
    pool: &Pool,
    organization: OrganizationId,
    calls: &[Ended],
) -> Result<Vec<Finished>, StoreError> {
    let id = organization.as_uuid();
    let claims = own_claims(Some(id), None);
    let settled = |call: &Ended| -> Option<Settlement> { call.finish.settlement };
    let parameters: [Parameter<'_>; 34] = [
        &id,
        &pool.sealed(&claims),
        &each!(calls, |call| call.finish.request_id.as_uuid()),
        &each!(calls, |call| call.finish.request_id.arrived_ms()),
        &each!(calls, |call| call.tenant.user_id()),
        &each!(calls, |call| call.tenant.team_id().map(TeamId::as_uuid)),
        &each!(calls, |call| call.tenant.key_id().map(KeyId::as_uuid)),
        &each!(calls, |call| settled(call).map(|settlement| settlement.amount.nanos())),
        &each!(calls, |call| settled(call).map(|settlement| settlement.tokens)),
        &each!(calls, |call| settled(call)
            .map(|settlement| -> Uuid { settlement.price_id.as_uuid() })),
        &each!(calls, |call| settled(call).map(|settlement| markup(settlement.markup_bps))),
        &each!(calls, |call| settled(call).is_some_and(|settlement| settlement.release)),
        &each!(calls, |call| call.finish.client_request_id.as_deref().map(text)),
        &each!(calls, |call| call.finish.endpoint.as_str()),
        &each!(calls, |call| text(&call.finish.model)),
        &each!(calls, |call| call.finish.answered_by.as_deref().map(text)),
        &each!(calls, |call| call.finish.provider.as_deref().map(text)),
        &each!(calls, |call| call.finish.stream),
        &each!(calls, |call| call.finish.ending.as_str()),
        &each!(calls, |call| i32::from(call.finish.status)),
        &each!(calls, |call| count(call.finish.usage.input)),
        &each!(calls, |call| count(call.finish.usage.cached_read)),
        &each!(calls, |call| count(call.finish.usage.cache_write_5m)),
        &each!(calls, |call| count(call.finish.usage.cache_write_1h)),
        &each!(calls, |call| count(call.finish.usage.output)),
        &each!(calls, |call| count(call.finish.usage.reasoning)),
        &each!(calls, |call| call.finish.estimated),
        &each!(calls, |call| call.finish.clamped),
        &each!(calls, |call| millis(call.finish.latency)),
        &each!(calls, |call| call.finish.first_byte.map(millis)),
        &each!(calls, |call| call.finish.record.is_some()),
        &each!(calls, |call| record(&call.finish)
            .and_then(|record| record.request.as_deref())
            .map(text)),
        &each!(calls, |call| record(&call.finish)
            .and_then(|record| record.response.as_deref())
            .map(text)),
        &each!(calls, |call| record(&call.finish).is_some_and(|record| record.truncated)),
    ];
    let rows = pool.rows_durable(&FINISH, &parameters).await.map_err(known)?;
    if rows.len() != calls.len() {
        return Err(unexpected("not one answer a finish"));
    }
    let finished = |row: &tokio_postgres::Row| {
        Ok(Finished {
            charged: Credits::from_nanos(column(row, 0)?),
            debt: Credits::from_nanos(column(row, 1)?),
            replayed: column(row, 2)?,
        })
    };
    rows.iter().map(finished).collect()
}

fn record(finish: &Finish) -> Option<&Record> {
    finish.record.as_ref()
}

/// Removes U+0000, which a Postgres text cannot contain: losing the character is better than losing the record.
fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "")) } else { Cow::Borrowed(text) }
}

/// The mark-up as a parameter. The database refuses a value above the highest allowed mark-up.
fn markup(bps: u32) -> i32 {
    i32::try_from(bps).unwrap_or(i32::MAX)
}

fn count(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}
