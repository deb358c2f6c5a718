//! The end of calls.

use std::borrow::Cow;

use tokio_postgres::types::Type;

use super::{
    ledger::millis,
    statement::Statement,
    store::{PostgresStore, column, known},
};
use crate::{
    context::Tenant,
    domain::{
        credits::Credits,
        finish::{Finish, Finished},
    },
    store::{Journal, StoreError, StoreFuture},
};

const FINISH: Statement = Statement::new(
    include_str!("sql/finish.sql"),
    &[
        Type::UUID, // organization
        Type::TEXT, // claims
        Type::UUID, // request
        Type::INT8, // arrival
        Type::INT8, // amount
        Type::INT8, // tokens
        Type::UUID, // price
        Type::BOOL, // release
        Type::TEXT, // the caller's request id
        Type::TEXT, // endpoint
        Type::TEXT, // model
        Type::TEXT, // answered by
        Type::TEXT, // provider
        Type::BOOL, // stream
        Type::TEXT, // ending
        Type::INT4, // status
        Type::INT8, // input
        Type::INT8, // cached read
        Type::INT8, // cache write, five minutes
        Type::INT8, // cache write, one hour
        Type::INT8, // output
        Type::INT8, // reasoning
        Type::BOOL, // estimated
        Type::BOOL, // clamped
        Type::INT8, // latency
        Type::INT8, // first byte
        Type::BOOL, // record
        Type::TEXT, // its request
        Type::TEXT, // its response
        Type::BOOL, // truncated
    ],
);

impl Journal for PostgresStore {
    fn finish<'a>(&'a self, tenant: &'a Tenant, finish: &'a Finish) -> StoreFuture<'a, Finished> {
        Box::pin(self.write(tenant, finish))
    }
}

impl PostgresStore {
    async fn write(&self, tenant: &Tenant, finish: &Finish) -> Result<Finished, StoreError> {
        let settlement = finish.settlement.as_ref();
        let record = finish.record.as_ref();
        let usage = &finish.usage;
        let row = self
            .pool()
            .call_durable(
                &FINISH,
                &[
                    &tenant.organization_id().as_uuid(),
                    &tenant.claims(),
                    &finish.request_id.as_uuid(),
                    &finish.request_id.arrived_ms(),
                    &settlement.map(|settlement| settlement.amount.nanos()),
                    &settlement.map(|settlement| settlement.tokens),
                    &settlement.map(|settlement| settlement.price_id.as_uuid()),
                    &settlement.is_some_and(|settlement| settlement.release),
                    &finish.client_request_id.as_deref().map(text),
                    &finish.endpoint.as_str(),
                    &text(&finish.model),
                    &finish.answered_by.as_deref().map(text),
                    &finish.provider.as_deref().map(text),
                    &finish.stream,
                    &finish.ending.as_str(),
                    &i32::from(finish.status),
                    &count(usage.input),
                    &count(usage.cached_read),
                    &count(usage.cache_write_5m),
                    &count(usage.cache_write_1h),
                    &count(usage.output),
                    &count(usage.reasoning),
                    &finish.estimated,
                    &finish.clamped,
                    &millis(finish.latency),
                    &finish.first_byte.map(millis),
                    &record.is_some(),
                    &record.and_then(|record| record.request.as_deref()).map(text),
                    &record.and_then(|record| record.response.as_deref()).map(text),
                    &record.is_some_and(|record| record.truncated),
                ],
            )
            .await
            .map_err(known)?;
        Ok(Finished {
            charged: Credits::from_nanos(column(&row, 0)?),
            debt: Credits::from_nanos(column(&row, 1)?),
            replayed: column(&row, 2)?,
        })
    }
}

/// Postgres has no U+0000 in a text; losing it is better than losing the record.
fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "")) } else { Cow::Borrowed(text) }
}

fn count(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}
