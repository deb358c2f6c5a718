//! Batches of holds, as the [`Coalescer`](crate::store::coalesce::Coalescer) forms them.

use std::time::Duration;

use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

use super::{
    pool::Pool,
    query::{Parameter, Query},
    rows::{column, known, millis, own_claims, unexpected},
};
use crate::{
    context::Tenant,
    domain::{
        credits::Credits,
        hold::{Exceeded, Heartbeat, HoldVerdict, Unit, Window},
        ids::{KeyId, OrganizationId, RequestId, TeamId},
    },
    store::{StoreError, coalesce::Asked},
};

const HOLD: Query = Query::new(
    include_str!("sql/statements/calls/hold.sql"),
    &[
        Type::UUID,       // organization
        Type::TEXT,       // claims
        Type::UUID_ARRAY, // requests
        Type::INT8_ARRAY, // amounts
        Type::INT8_ARRAY, // tokens
        Type::INT8_ARRAY, // lifetimes in milliseconds
        Type::TEXT_ARRAY, // users
        Type::UUID_ARRAY, // teams
        Type::UUID_ARRAY, // keys
    ],
);
const GIVE_BACK: Query = Query::new(
    include_str!("sql/statements/calls/give_back.sql"),
    &[Type::UUID, Type::TEXT, Type::UUID_ARRAY],
);
const RENEW: Query = Query::new(
    include_str!("sql/statements/calls/renew.sql"),
    &[Type::UUID, Type::TEXT, Type::UUID_ARRAY, Type::INT8_ARRAY, Type::INT8_ARRAY, Type::INT8],
);
/// Asks for the holds of these calls. Returns one verdict for each call, in their order.
pub(super) async fn hold(
    pool: &Pool,
    organization: OrganizationId,
    calls: &[Asked],
) -> Result<Vec<HoldVerdict>, StoreError> {
    let id = organization.as_uuid();
    let claims = own_claims(Some(id), None);
    let each = |of: fn(&Asked) -> i64| calls.iter().map(of).collect::<Vec<_>>();
    let tenants = || calls.iter().map(|call| &call.tenant);
    let requests: Vec<Uuid> = calls.iter().map(|call| call.request.request_id.as_uuid()).collect();
    let amounts = each(|call| call.request.amount.nanos());
    let tokens = each(|call| call.request.tokens);
    let ttls = each(|call| millis(call.request.ttl));
    let users: Vec<&str> = tenants().map(Tenant::user_id).collect();
    let teams: Vec<Option<Uuid>> =
        tenants().map(|tenant| tenant.team_id().map(TeamId::as_uuid)).collect();
    let keys: Vec<Option<Uuid>> =
        tenants().map(|tenant| tenant.key_id().map(KeyId::as_uuid)).collect();
    let parameters: [Parameter<'_>; 9] =
        [&id, &pool.sealed(&claims), &requests, &amounts, &tokens, &ttls, &users, &teams, &keys];
    let rows = pool.rows(&HOLD, &parameters).await.map_err(known)?;
    if rows.len() != calls.len() {
        return Err(unexpected("not one verdict a call"));
    }
    rows.iter().map(verdict).collect()
}

fn verdict(row: &Row) -> Result<HoldVerdict, StoreError> {
    let may_wait = column(row, 2)?;
    Ok(match column(row, 0)? {
        "granted" => HoldVerdict::Granted,
        "insufficient" => {
            HoldVerdict::Insufficient { available: Credits::from_nanos(column(row, 1)?), may_wait }
        }
        "budget_exceeded" => HoldVerdict::BudgetExceeded(Exceeded {
            scope: scope(row)?,
            window: match column(row, 4)? {
                "day" => Window::Day,
                "month" => Window::Month,
                other => return Err(unexpected(other)),
            },
            unit: match column(row, 5)? {
                "tokens" => Unit::Tokens,
                "credits" => Unit::Credits,
                other => return Err(unexpected(other)),
            },
            retry_after: Duration::from_millis(u64::try_from(column::<i64>(row, 6)?).unwrap_or(0)),
            may_wait,
        }),
        "suspended" => HoldVerdict::Suspended(scope(row)?),
        "unknown_organization" => return Err(StoreError::UnknownOrganization),
        "conflict" => HoldVerdict::Conflict,
        other => return Err(unexpected(other)),
    })
}

fn scope(row: &Row) -> Result<crate::domain::scope::Scope, StoreError> {
    let word: &str = column(row, 3)?;
    word.parse().map_err(|_| unexpected(word))
}

/// Releases granted holds whose calls no longer wait for them.
pub(super) async fn give_back(
    pool: &Pool,
    organization: OrganizationId,
    calls: &[RequestId],
) -> Result<(), StoreError> {
    let id = organization.as_uuid();
    let requests: Vec<Uuid> = calls.iter().map(|call| call.as_uuid()).collect();
    let claims = own_claims(Some(id), None);
    let parameters: [Parameter<'_>; 3] = [&id, &pool.sealed(&claims), &requests];
    pool.call(&GIVE_BACK, &parameters).await.map(drop).map_err(known)
}

/// Renews holds, and returns the calls whose holds are still open.
pub(super) async fn renew(
    pool: &Pool,
    organization: OrganizationId,
    heartbeats: &[Heartbeat],
    ttl: Duration,
) -> Result<Vec<RequestId>, StoreError> {
    let id = organization.as_uuid();
    let requests: Vec<Uuid> = heartbeats.iter().map(|one| one.request_id.as_uuid()).collect();
    let used: Vec<i64> = heartbeats.iter().map(|one| one.used.nanos()).collect();
    let tokens: Vec<i64> = heartbeats.iter().map(|one| one.tokens).collect();
    let claims = own_claims(Some(id), None);
    let parameters: [Parameter<'_>; 6] =
        [&id, &pool.sealed(&claims), &requests, &used, &tokens, &millis(ttl)];
    let rows = pool.rows(&RENEW, &parameters).await.map_err(known)?;
    rows.iter().map(|row| column(row, 0).map(RequestId::from_uuid)).collect()
}
