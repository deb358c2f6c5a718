//! `store::admin` on Postgres: the operator's actions on organizations, one file for each resource.
//!
//! Every statement runs in the organization's place, and through the `Door` as `tollgate_platform`. So the connection
//! may be the administrator's or `tollgate_login`'s.

mod account;
mod agreements;
mod books;
mod budgets;
mod credits;
mod limits;
mod organizations;
mod places;
mod policies;
mod prices;
mod rebill;
mod switches;

use std::time::Duration;

use tokio_postgres::Row;

use super::{
    door::DoorRole,
    places::PostgresStore,
    pool::Pool,
    query::{Parameter, Query},
    rows::{column, known, own_claims},
};
use crate::{
    domain::{credits::Credits, ids::OrganizationId, role::Role},
    store::{Balance, StoreError},
};

/// The statement time-out. Reading all of an organization's books takes longer than the time-out of calls.
const STATEMENT_MAX: Duration = Duration::from_mins(5);

/// The operator of an installation on Postgres. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Operator {
    places: PostgresStore,
}

impl Operator {
    /// An operator on this pool, for all organizations in its database.
    pub fn new(pool: Pool) -> Self {
        Self::over(PostgresStore::new(pool))
    }

    /// An operator with its own connection, separate from this pool and opened on demand. A statement may take five
    /// minutes, and no call waits for the operator's connection.
    ///
    /// # Errors
    /// As [`Pool::connect`].
    pub fn beside(pool: &Pool) -> Result<Self, StoreError> {
        Ok(Self::new(pool.beside(STATEMENT_MAX)?))
    }

    /// As [`beside`](Self::beside), for all places.
    ///
    /// # Errors
    /// As [`beside`](Self::beside), or the main database does not answer.
    pub async fn beside_all(places: &PostgresStore) -> Result<Self, StoreError> {
        let beside = places.beside(STATEMENT_MAX)?;
        beside.read().await?;
        Ok(Self::over(beside))
    }

    /// An operator of these places.
    pub const fn over(places: PostgresStore) -> Self {
        Self { places }
    }

    /// The places.
    pub const fn places(&self) -> &PostgresStore {
        &self.places
    }

    /// Runs a statement that returns rows in the organization's place and none in other places.
    async fn run(
        &self,
        id: OrganizationId,
        statement: &Query,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        self.rows(id, statement, parameters, true).await
    }

    /// Runs a statement in the organization's place, and returns its rows, if any.
    async fn any(
        &self,
        id: OrganizationId,
        statement: &Query,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        self.rows(id, statement, parameters, false).await
    }

    async fn rows(
        &self,
        id: OrganizationId,
        statement: &Query,
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

/// The first row of an answer. Every such statement returns one row if the organization is in the database.
fn one(rows: &[Row]) -> Result<&Row, StoreError> {
    rows.first().ok_or(StoreError::UnknownOrganization)
}

fn balance(row: &Row, first: usize) -> Result<Balance, StoreError> {
    let figure = |index: usize| column(row, first.saturating_add(index)).map(Credits::from_nanos);
    Ok(Balance { posted: figure(0)?, held: figure(1)?, debt: figure(2)? })
}
