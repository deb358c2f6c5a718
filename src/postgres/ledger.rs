//! Holds: set aside by one statement, given back where nobody waits for them any more.
//!
//! The statement runs in a task of its own, so that a caller who leaves does not cancel it half way:
//! what it then grants is given back. A place to put holds of one organization together would be
//! [`PostgresStore::ask`].

use std::time::Duration;

use tokio::{runtime::Handle, sync::oneshot};
use tokio_postgres::types::Type;

use super::{
    door::DoorRole,
    error::{self, PostgresError},
    statement::Statement,
    store::{PostgresStore, column, known, own_claims, unexpected},
};
use crate::{
    context::Tenant,
    domain::{
        credits::Credits,
        hold::{HoldRequest, HoldVerdict, Window},
        ids::{OrganizationId, RequestId},
        role::Role,
    },
    store::{Ledger, StoreError, StoreFuture},
};

const HOLD: Statement = Statement::new(
    include_str!("sql/hold.sql"),
    &[Type::UUID, Type::TEXT, Type::UUID, Type::INT8, Type::INT8, Type::INT8],
);
const GIVE_BACK: Statement =
    Statement::new(include_str!("sql/give_back.sql"), &[Type::UUID, Type::TEXT, Type::UUID]);
const EXPIRE: Statement =
    Statement::new(include_str!("sql/expire.sql"), &[Type::UUID, Type::TEXT, Type::INT4]);
const OVERDUE: Statement =
    Statement::new(include_str!("sql/overdue_organizations.sql"), &[Type::INT8]);

/// How many holds one expiry ends: it has the balance locked.
const EXPIRE_MAX: i32 = 100;
/// How many organizations one sweep visits.
const SWEEP_MAX: i64 = 1_000;

impl Ledger for PostgresStore {
    fn hold<'a>(
        &'a self,
        tenant: &'a Tenant,
        request: HoldRequest,
    ) -> StoreFuture<'a, HoldVerdict> {
        Box::pin(async move {
            let (answer, waiting) = oneshot::channel();
            let (store, tenant) = (self.clone(), tenant.clone());
            self.tasks().spawn(async move {
                let unclaimed = Unclaimed::new(&store, &tenant, request.request_id);
                let verdict = store.ask(&tenant, &request).await;
                let may_hold = match &verdict {
                    Ok(verdict) => *verdict == HoldVerdict::Granted,
                    Err(fault) => fault.is_transient(),
                };
                let unclaimed = if may_hold { Some(unclaimed) } else { unclaimed.claimed() };
                // Where nobody waits, the answer comes back here and is dropped, with the hold.
                drop(answer.send((verdict, unclaimed)));
            });
            let Ok((verdict, unclaimed)) = waiting.await else {
                return Err(error::timed_out("hold"));
            };
            if let (Ok(_), Some(unclaimed)) = (&verdict, unclaimed) {
                unclaimed.claimed();
            }
            verdict
        })
    }
}

impl PostgresStore {
    /// Expires overdue holds of all organizations that have some, and returns how many. Safe to run in
    /// any number of processes at once. An organization that the server has a fault to find with (its
    /// balance is locked for long, say) is logged and left to the next sweep.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        let claims = own_claims(None, Some(Role::Platform.as_str()));
        let rows = self.door().run(&claims, DoorRole::Platform, &OVERDUE, &[&SWEEP_MAX]).await?;
        let mut expired: u64 = 0;
        for row in &rows {
            let organization_id = OrganizationId::new(column(row, 0)?);
            match self.expire(organization_id).await {
                Ok(some) => expired = expired.saturating_add(some),
                // Only where the server itself answers: else the others would each wait for it in vain.
                Err(error) if PostgresError::of(&error).is_some_and(|of| of.code().is_some()) => {
                    tracing::warn!(%organization_id, %error, "overdue holds of one organization could not be expired");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(expired)
    }

    /// Expires all overdue holds of one organization, and returns how many.
    pub async fn expire(&self, organization: OrganizationId) -> Result<u64, StoreError> {
        let id = organization.as_uuid();
        let claims = own_claims(Some(id), None);
        let mut expired: u64 = 0;
        loop {
            let row = self.pool().call(&EXPIRE, &[&id, &claims, &EXPIRE_MAX]).await?;
            let some: i32 = column(&row, 0)?;
            expired = expired.saturating_add(u64::try_from(some).unwrap_or(0));
            if some < EXPIRE_MAX {
                return Ok(expired);
            }
        }
    }

    async fn ask(&self, tenant: &Tenant, request: &HoldRequest) -> Result<HoldVerdict, StoreError> {
        let row = self
            .pool()
            .call(
                &HOLD,
                &[
                    &tenant.organization_id().as_uuid(),
                    &tenant.claims(),
                    &request.request_id.as_uuid(),
                    &request.amount.nanos(),
                    &request.tokens,
                    &millis(request.ttl),
                ],
            )
            .await
            .map_err(known)?;
        Ok(match column(&row, 0)? {
            "granted" => HoldVerdict::Granted,
            "insufficient" => {
                HoldVerdict::Insufficient { available: Credits::from_nanos(column(&row, 1)?) }
            }
            "budget_exceeded" => HoldVerdict::BudgetExceeded {
                window: match column(&row, 2)? {
                    "day" => Window::Day,
                    "month" => Window::Month,
                    other => return Err(unexpected(other)),
                },
                retry_after: Duration::from_millis(
                    u64::try_from(column::<i64>(&row, 3)?).unwrap_or(0),
                ),
            },
            "suspended" => HoldVerdict::Suspended,
            "unknown_organization" => HoldVerdict::UnknownOrganization,
            "conflict" => HoldVerdict::Conflict,
            other => return Err(unexpected(other)),
        })
    }

    async fn give_back(&self, tenant: &Tenant, request_id: RequestId) {
        let id = tenant.organization_id().as_uuid();
        let parameters: [super::Parameter<'_>; 3] = [&id, &tenant.claims(), &request_id.as_uuid()];
        match self.pool().call(&GIVE_BACK, &parameters).await {
            Ok(_) => metrics::counter!("tollgate_holds_given_back_total").increment(1),
            Err(error) => {
                tracing::warn!(organization_id = %id, %request_id, %error, "a hold that nobody waits for stays until it expires");
            }
        }
    }
}

/// A hold that may stand and that nobody has taken yet. Dropped, it is given back.
struct Unclaimed(Option<(PostgresStore, Tenant, RequestId, Handle)>);

impl Unclaimed {
    fn new(store: &PostgresStore, tenant: &Tenant, request_id: RequestId) -> Self {
        Self(Some((store.clone(), tenant.clone(), request_id, Handle::current())))
    }

    /// Somebody has it, or there is none: nothing is left to give back.
    fn claimed(mut self) -> Option<Self> {
        self.0 = None;
        None
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if let Some((store, tenant, request_id, runtime)) = self.0.take() {
            let giving = store.clone();
            let give_back = async move { giving.give_back(&tenant, request_id).await };
            store.tasks().spawn_on(give_back, &runtime);
        }
    }
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
