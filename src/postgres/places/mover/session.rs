//! A connection on which one organization is moved: in one place, as the mover's role, under claims that name the
//! organization. Row-level security keeps it from the rows of every other one.

use futures_util::{TryStreamExt, future::join};
use tokio_postgres::{Client, Row, types::Type};

use super::MoveError;
use crate::{
    domain::ids::OrganizationId,
    postgres::{Parameter, Pool, Query, Schema, error, migrate, query::Quiet, rows::own_claims},
    store::StoreError,
};

const SETTINGS: &str = include_str!("../../sql/statements/places/mover_session.sql");
const LOCK: Query =
    Query::new(include_str!("../../sql/statements/places/mover_lock.sql"), &[Type::TEXT]);
const ENTER: Query =
    Query::new(include_str!("../../sql/statements/calls/enter.sql"), &[Type::TEXT, Type::TEXT]);
/// Moves recognize the connections of other moves by this name.
const APPLICATION: &str = "tollgate move";
const MOVER: &str = "tollgate_mover";

/// A session in one schema of one database.
pub(super) struct Session {
    client: Client,
    pool: Pool,
    id: OrganizationId,
    claims: String,
}

impl Session {
    /// Opens a connection outside the pool, for the pool's schema.
    pub(super) async fn open(pool: &Pool, id: OrganizationId) -> Result<Self, MoveError> {
        let mut config = pool.config().connection.clone();
        config.application_name(APPLICATION);
        let client = migrate::connect(config).await?;
        let claims = own_claims(Some(id.as_uuid()), None);
        let session = Self { client, pool: pool.clone(), id, claims };
        session.execute(SETTINGS).await?;
        Ok(session)
    }

    /// Locks `what` for the organization. The session keeps the lock until it ends.
    pub(super) async fn lock(&self, what: &str) -> Result<(), MoveError> {
        let what = format!("tollgate.move {what} {}", self.id);
        match self.plain(&LOCK, &[&what]).await {
            Ok(_) => Ok(()),
            Err(error) if error::is_lock_timeout(&error) => Err(MoveError::Busy),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) const fn id(&self) -> OrganizationId {
        self.id
    }

    /// The name of the schema that statements are about.
    pub(super) fn schema(&self) -> &str {
        self.pool.schema().name()
    }

    /// One statement as the mover, in a transaction of its own, all of it in one flush.
    pub(super) async fn run(
        &self,
        statement: &Query,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let (begun, (rows, committed)) =
            join(self.begin(), join(self.within(statement, parameters), self.commit())).await;
        // After an error `commit` rolls back, and still answers `Ok`: the earlier error is reported.
        let rows = begun.and(rows)?;
        committed.map(|()| rows)
    }

    pub(super) async fn begin(&self) -> Result<(), StoreError> {
        self.execute("begin").await
    }

    /// One statement as the mover, in the transaction that is open. The claims are put into force for each statement,
    /// in the same flush: a transaction may take longer than their seal is valid.
    pub(super) async fn within(
        &self,
        statement: &Query,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let claims = self.pool.sealed(&self.claims);
        let entered: [Parameter<'_>; 2] = [&claims, &MOVER];
        // Polled in this order, hence sent in this order.
        let (entered, rows) =
            join(self.plain(&ENTER, &entered), self.plain(statement, parameters)).await;
        entered.and(rows)
    }

    /// Commits. The transaction is on disk when this returns.
    pub(super) async fn commit(&self) -> Result<(), StoreError> {
        self.execute("commit").await
    }

    pub(super) async fn rollback(&self) {
        // If this fails, the connection is lost, and the transaction with it.
        drop(self.execute("rollback").await);
    }

    /// One statement as the user who is logged in.
    pub(super) async fn plain(
        &self,
        statement: &Query,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let text = self.pool.schema().text(statement.sql());
        let quiet = parameters.iter().copied().map(Quiet);
        let rows = async {
            let types = statement.types().iter().cloned();
            self.client.query_typed_raw(&text, quiet.zip(types)).await?.try_collect().await
        };
        // Boxed because moves await many of these at once: otherwise their own futures would be large.
        Box::pin(rows).await.map_err(|error| error::failed(&error))
    }

    /// A text without parameters, as the user who is logged in.
    pub(super) async fn execute(&self, sql: &str) -> Result<(), StoreError> {
        self.execute_in(self.pool.schema(), sql).await
    }

    /// As [`execute`](Self::execute), about another schema of this database.
    pub(super) async fn execute_in(&self, schema: &Schema, sql: &str) -> Result<(), StoreError> {
        let sql = schema.read(sql);
        self.client.batch_execute(&sql).await.map_err(|error| error::failed(&error))
    }
}
