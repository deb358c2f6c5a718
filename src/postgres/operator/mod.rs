//! What the operator's staff does: organizations, credits, policies, budgets, rate limits, members, prices, and the books.
//!
//! Everything goes through the door as `tollgate_platform`, so the connection may be the
//! administrator's or `tollgate_login`'s; and to the place where the organization is.

mod account;
mod agreements;
mod books;
mod budgets;
mod limits;
mod prices;
mod rebill;

use std::time::Duration;

use serde_json::Value;
use tokio_postgres::{Row, types::Type};

pub use account::AccountWindow;
pub use agreements::Begins;
pub use books::{Books, Reconciliation};
pub use budgets::{Budget, BudgetError, BudgetEvent, Budgeted, CapChange, WindowUsage};
pub use limits::{Limited, RateChange, RateChanges, RateLimitError};
pub use prices::{Import, ImportOptions, ScheduledPrice};
pub use rebill::{Bill, Difference, OtherPrices, Rebill, RebillWindow};

use super::{
    door::DoorRole,
    places::{Places, Standing},
    policies,
    pool::Pool,
    rows::{column, known, own_claims},
    statement::{Parameter, Statement},
    switches,
};
use crate::{
    domain::{credits::Credits, ids::OrganizationId, policy::Policy, role::Role, switch::Switch},
    store::{Balance, StoreError, SwitchesOn},
};

const CREATE: Statement = Statement::new(
    include_str!("../sql/statements/operate/create_organization.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT, Type::TEXT],
);
const SHOW: Statement =
    Statement::new(include_str!("../sql/statements/operate/show_organization.sql"), &[Type::UUID]);
const SUSPEND: Statement = Statement::new(
    include_str!("../sql/statements/operate/suspend_organization.sql"),
    &[Type::UUID, Type::BOOL, Type::TEXT],
);
const SET_POLICY: Statement = Statement::new(
    include_str!("../sql/statements/operate/set_policy.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT],
);
const SET_ROLE: Statement = Statement::new(
    include_str!("../sql/statements/memberships/set_role.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT],
);
const GRANT: Statement = Statement::new(
    include_str!("../sql/statements/credits/grant_credits.sql"),
    &[Type::UUID, Type::TEXT, Type::INT8, Type::TEXT],
);

/// Reading all of an organization's books takes longer than a call may.
const STATEMENT_MAX: Duration = Duration::from_mins(5);

/// The operator's basics. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Operator {
    places: Places,
}

/// An organization as the operator sees it.
#[derive(Clone, Debug)]
pub struct Organization {
    /// Its id.
    pub organization_id: OrganizationId,
    /// Its name.
    pub name: String,
    /// Whether the operator's kill switch is on.
    pub suspended: bool,
    /// The time zone in which its budgets count days and months.
    pub time_zone: String,
    /// What it may do.
    pub policy: Policy,
    /// What it has.
    pub balance: Balance,
    /// Where its rows are.
    pub standing: Standing,
}

/// What a grant came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The balance after it.
    pub balance: Balance,
    /// The same reference had been granted before: nothing was added now.
    pub replayed: bool,
}

/// A change of a policy was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// What it comes to is not a policy.
    #[error("not a policy: {0}")]
    Invalid(#[from] serde_json::Error),
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Operator {
    /// An operator on this pool, for all organizations in its database.
    pub fn new(pool: Pool) -> Self {
        Self::over(Places::new(pool, [], Places::WAIT_MAX))
    }

    /// An operator on a connection of its own beside this pool, made when it is needed: it may take its time, five
    /// minutes for a statement, and no call waits for it.
    ///
    /// # Errors
    /// As [`Pool::connect`].
    pub fn beside(pool: &Pool) -> Result<Self, StoreError> {
        Ok(Self::new(pool.beside(STATEMENT_MAX)?))
    }

    /// As [`beside`](Self::beside), in all places.
    ///
    /// # Errors
    /// As [`beside`](Self::beside), or the main database is away.
    pub async fn beside_all(places: &Places) -> Result<Self, StoreError> {
        let beside = places.beside(STATEMENT_MAX)?;
        beside.read().await?;
        Ok(Self::over(beside))
    }

    /// An operator of these places.
    pub const fn over(places: Places) -> Self {
        Self { places }
    }

    /// The places.
    pub const fn places(&self) -> &Places {
        &self.places
    }

    /// Adds an organization with an empty balance and the default policy, in the shared tables. `false` if it is there.
    ///
    /// # Errors
    /// The time zone is not one that Postgres knows, or the store is away.
    pub async fn create_organization(
        &self,
        id: OrganizationId,
        name: &str,
        time_zone: &str,
    ) -> Result<bool, StoreError> {
        let claims = claims(id);
        let parameters: [Parameter<'_>; 4] =
            [&id.as_uuid(), &self.places.sealed(&claims), &name, &time_zone];
        let rows = self.run(id, &CREATE, &parameters).await?;
        column(one(&rows)?, 0)
    }

    /// The organization.
    ///
    /// # Errors
    /// [`UnknownOrganization`](StoreError::UnknownOrganization), or the store is away.
    pub async fn organization(&self, id: OrganizationId) -> Result<Organization, StoreError> {
        let rows = self.run(id, &SHOW, &[&id.as_uuid()]).await?;
        let row = one(&rows)?;
        let standing = self.places.standing(id).await?;
        Ok(Organization {
            organization_id: id,
            name: column(row, 0)?,
            suspended: column(row, 1)?,
            time_zone: column(row, 2)?,
            policy: policies::parse(column(row, 3)?)?,
            balance: balance(row, 4)?,
            standing,
        })
    }

    /// Turns the operator's kill switch on or off. Every hold from now on sees it; gateways that
    /// listen cut open calls.
    ///
    /// # Errors
    /// As [`organization`](Self::organization).
    pub async fn set_suspended(
        &self,
        id: OrganizationId,
        suspended: bool,
    ) -> Result<(), StoreError> {
        self.suspend(id, suspended, None).await
    }

    /// Turns a kill switch on, with a reason that the organization's people can read. The one of the
    /// whole organization is the operator's own; the others its owners and admins can turn off. `false`
    /// where as many of those are on as may be.
    ///
    /// # Errors
    /// As [`organization`](Self::organization).
    pub async fn turn_on(
        &self,
        id: OrganizationId,
        switch: &Switch,
        reason: Option<&str>,
    ) -> Result<bool, StoreError> {
        if *switch == Switch::Organization {
            return self.suspend(id, true, reason).await.map(|()| true);
        }
        let (claims, role) = (&claims(id), DoorRole::Platform);
        let turned = self.places.ask(id, move |store| {
            Box::pin(async move {
                switches::turn_on(store.door(), claims, role, id, switch, reason).await
            })
        });
        Ok(turned.await?.is_some())
    }

    /// The kill switches that are on.
    ///
    /// # Errors
    /// As [`organization`](Self::organization).
    pub async fn switches(&self, id: OrganizationId) -> Result<SwitchesOn, StoreError> {
        let (claims, role) = (&claims(id), DoorRole::Platform);
        let list = self.places.ask(id, move |store| {
            Box::pin(async move { switches::list(store.door(), claims, role, id).await })
        });
        list.await
    }

    /// Turns a kill switch off, where it is on.
    ///
    /// # Errors
    /// As [`organization`](Self::organization).
    pub async fn turn_off(&self, id: OrganizationId, switch: &Switch) -> Result<(), StoreError> {
        if *switch == Switch::Organization {
            return self.suspend(id, false, None).await;
        }
        let (claims, role) = (&claims(id), DoorRole::Platform);
        let turned = self.places.ask(id, move |store| {
            Box::pin(
                async move { switches::turn_off(store.door(), claims, role, id, switch).await },
            )
        });
        turned.await
    }

    async fn suspend(
        &self,
        id: OrganizationId,
        suspended: bool,
        reason: Option<&str>,
    ) -> Result<(), StoreError> {
        let rows = self.run(id, &SUSPEND, &[&id.as_uuid(), &suspended, &reason]).await?;
        one(&rows).map(drop)
    }

    /// Adds credits, of which a debt is paid first. Repeating a `reference` adds nothing.
    ///
    /// # Errors
    /// The amount is not above zero, the reference stands for another amount, or as
    /// [`organization`](Self::organization).
    pub async fn grant_credits(
        &self,
        id: OrganizationId,
        amount: Credits,
        reference: Option<&str>,
    ) -> Result<Granted, StoreError> {
        let claims = claims(id);
        let parameters: [Parameter<'_>; 4] =
            [&id.as_uuid(), &self.places.sealed(&claims), &amount.nanos(), &reference];
        let rows = self.run(id, &GRANT, &parameters).await?;
        let row = one(&rows)?;
        Ok(Granted { balance: balance(row, 0)?, replayed: column(row, 3)? })
    }

    /// Replaces the whole policy.
    ///
    /// # Errors
    /// As [`organization`](Self::organization).
    pub async fn set_policy(&self, id: OrganizationId, policy: &Policy) -> Result<(), PolicyError> {
        let policy = serde_json::to_string(policy)?;
        let none: Option<&str> = None;
        let rows = self.run(id, &SET_POLICY, &[&id.as_uuid(), &policy, &none]).await?;
        Ok(one(&rows).map(drop)?)
    }

    /// Changes what the merge patch (RFC 7396) names and leaves the rest, and returns what it comes to.
    ///
    /// # Errors
    /// The result is not a policy, others change it all the time, or as [`organization`](Self::organization).
    pub async fn patch_policy(
        &self,
        id: OrganizationId,
        patch: &Value,
    ) -> Result<Policy, PolicyError> {
        const ATTEMPTS_MAX: usize = 8;
        for _ in 0..ATTEMPTS_MAX {
            let rows = self.run(id, &SHOW, &[&id.as_uuid()]).await?;
            let before: &str = column(one(&rows)?, 3)?;
            let mut document: Value = serde_json::from_str(before)?;
            merge(&mut document, patch);
            let policy = serde_json::from_value::<Policy>(document)?;
            let after = serde_json::to_string(&policy)?;
            let changed =
                self.any(id, &SET_POLICY, &[&id.as_uuid(), &after, &Some(before)]).await?;
            if !changed.is_empty() {
                return Ok(policy);
            }
        }
        Err(StoreError::Unavailable("others change this policy at the same time".into()).into())
    }

    /// Makes a person a member in this role, or changes the role.
    ///
    /// # Errors
    /// `platform` is not a role in an organization; as [`organization`](Self::organization).
    pub async fn set_role(
        &self,
        id: OrganizationId,
        user_id: &str,
        role: Role,
    ) -> Result<(), StoreError> {
        let rows = self.run(id, &SET_ROLE, &[&id.as_uuid(), &user_id, &role.as_str()]).await?;
        one(&rows).map(drop)
    }

    /// The rows that a statement gives that gives some wherever the organization is, and none elsewhere.
    async fn run(
        &self,
        id: OrganizationId,
        statement: &Statement,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        self.rows(id, statement, parameters, true).await
    }

    /// The rows that a statement gives in the organization's place, if any.
    async fn any(
        &self,
        id: OrganizationId,
        statement: &Statement,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        self.rows(id, statement, parameters, false).await
    }

    async fn rows(
        &self,
        id: OrganizationId,
        statement: &Statement,
        parameters: &[Parameter<'_>],
        some: bool,
    ) -> Result<Vec<Row>, StoreError> {
        let claims = &claims(id);
        let rows = self.places.ask(id, move |store| {
            Box::pin(async move {
                let door = store.door();
                let rows = door.run(claims, DoorRole::Platform, statement, parameters).await;
                let rows = rows.map_err(known)?;
                if some && rows.is_empty() {
                    return Err(StoreError::UnknownOrganization);
                }
                Ok(rows)
            })
        });
        rows.await
    }
}

fn claims(id: OrganizationId) -> String {
    own_claims(Some(id.as_uuid()), Some(Role::Platform.as_str()))
}

/// Every statement here answers with one row if the organization is in the database.
fn one(rows: &[Row]) -> Result<&Row, StoreError> {
    rows.first().ok_or(StoreError::UnknownOrganization)
}

fn balance(row: &Row, first: usize) -> Result<Balance, StoreError> {
    let figure = |index: usize| column(row, first.saturating_add(index)).map(Credits::from_nanos);
    Ok(Balance { posted: figure(0)?, held: figure(1)?, debt: figure(2)? })
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(target) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name.as_str()).or_insert(Value::Null), value);
        }
    }
}
