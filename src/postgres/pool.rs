//! The bounded pool, and calls that are one autocommit statement.

use std::{fmt, sync::Arc, time::Duration};

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, PoolError, RecyclingMethod, Runtime, TimeoutType,
    Timeouts,
};
use tokio_postgres::Row;

use super::{
    config::{PoolConfig, Prepared},
    error::{self, PostgresError},
    hosts::Hosts,
    lease::{Lease, Ready},
    query::{Parameter, Query},
    schema::Schema,
    seal::{Seal, Sealed},
    tls::Tls,
};
use crate::store::StoreError;

const FLUSH: Query = Query::new(include_str!("sql/statements/calls/flush.sql"), &[]);
const PING: Query = Query::new("select", &[]);
/// How many times a statement is sent, the first time included, while deadlocks or serialization failures abort it.
pub(super) const ATTEMPTS_MAX: u32 = 4;

/// Connections to one Postgres server, for statements about one schema. Cheap to clone; clones share the connections.
///
/// A connection that the server has closed is not used again, so the pool recovers by itself when Postgres
/// comes back.
#[derive(Clone)]
pub struct Pool(Arc<Inner>, Schema);

struct Inner {
    connections: deadpool_postgres::Pool,
    config: PoolConfig,
    tls: Tls,
    /// Whether this pool sets the gauges `tollgate_pool_*`.
    observed: bool,
}

impl Pool {
    /// Creates a pool. It connects on first use, so Postgres need not run yet.
    ///
    /// # Errors
    /// `sslmode` asks for TLS, and TLS cannot be set up.
    pub fn connect(config: PoolConfig) -> Result<Self, StoreError> {
        Self::of(config, true)
    }

    /// A pool of one more connection to the same server and schema, for statements that may take `statement_max`
    /// each. No call waits for this connection.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub(super) fn beside(&self, statement_max: Duration) -> Result<Self, StoreError> {
        let mut one = self.0.config.clone();
        one.connection.application_name("tollgate books");
        if one.prepared == Prepared::Auto {
            // The planner overrates these statements and would JIT-compile them, which takes longer than running them.
            let options = one.connection.get_options().unwrap_or_default();
            let options = format!("{options} -c jit=off");
            one.connection.options(options.trim_start());
        }
        one.connections_max = 1;
        one.wait_max = statement_max.saturating_mul(4);
        one.statement_max = statement_max;
        Ok(Self::of(one, false)?.in_schema(self.1.clone()))
    }

    fn of(config: PoolConfig, observed: bool) -> Result<Self, StoreError> {
        let mut connection = config.bounded();
        let tls = Tls::of(&mut connection)?;
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let hosts = Hosts::of(&connection, config.connect_max, tls.clone());
        let manager = Manager::from_connect(connection, hosts.clone(), recycling);
        let still_good = Hook::sync_fn(move |_, metrics| {
            if hosts.is_outdated(metrics.created) {
                return Err(HookError::message("another server has taken over"));
            }
            Ok(())
        });
        let timeouts = Timeouts {
            wait: Some(config.wait_max),
            create: Some(config.connect_max),
            recycle: Some(config.connect_max),
        };
        let connections = deadpool_postgres::Pool::builder(manager)
            .max_size(config.connections_max.max(1))
            .timeouts(timeouts)
            .pre_recycle(still_good)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| StoreError::Refused(PostgresError::text(error.to_string()).into()))?;
        Ok(Self(Arc::new(Inner { connections, config, tls, observed }), Schema::SHARED))
    }

    /// The same connections, for statements about another schema. Statements about an organization's own schema are
    /// sent with their parameter types and never prepared by name.
    #[must_use]
    pub fn in_schema(&self, schema: Schema) -> Self {
        Self(Arc::clone(&self.0), schema)
    }

    /// Whether the other pool has the same connections and is about the same schema.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) && self.1 == other.1
    }

    /// The schema that statements are about.
    pub const fn schema(&self) -> &Schema {
        &self.1
    }

    /// Runs one autocommit statement in one round trip, and returns its rows.
    ///
    /// After a deadlock or a serialization failure the statement is sent again, a bounded number of times. If the
    /// future is dropped before it resolves, the statement is cancelled, but may have been committed: make it
    /// idempotent.
    ///
    /// # Errors
    /// [`Unavailable`](StoreError::Unavailable) if a retry may help, otherwise [`Refused`](StoreError::Refused).
    pub async fn rows(
        &self,
        statement: &Query,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        self.answer(statement, parameters, false).await
    }

    /// As [`rows`](Self::rows), for a statement that returns exactly one row, such as a function call.
    ///
    /// # Errors
    /// As [`rows`](Self::rows); also if the statement returns another number of rows.
    pub async fn call(
        &self,
        statement: &Query,
        parameters: &[Parameter<'_>],
    ) -> Result<Row, StoreError> {
        one(self.rows(statement, parameters).await?)
    }

    /// As [`rows`](Self::rows); what the statement wrote is on disk when this resolves to `Ok`.
    ///
    /// The statement sets `synchronous_commit` to `off` for itself, so that it releases its locks without waiting for
    /// the disk. A second, tiny transaction in the same flush commits synchronously, which makes both durable.
    ///
    /// # Errors
    /// As [`rows`](Self::rows). Also if only the second commit failed: what the statement wrote may be kept or lost.
    pub async fn rows_durable(
        &self,
        statement: &Query,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        self.answer(statement, parameters, true).await
    }

    /// Verified claims as the parameter of a statement, sealed if this pool has a seal.
    pub fn sealed<'a>(&'a self, claims: &'a str) -> Sealed<'a> {
        Sealed::new(self.seal(), claims)
    }

    /// Checks that Postgres answers.
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.rows(&PING, &[]).await.map(drop)
    }

    async fn answer(
        &self,
        statement: &Query,
        parameters: &[Parameter<'_>],
        durable: bool,
    ) -> Result<Vec<Row>, StoreError> {
        for attempt in 1.. {
            let lease = self.lease().await?;
            let sent = self.send(&lease, statement, parameters, durable);
            let (answer, flushed) = self.bounded(sent).await?;
            let failure = match (answer, flushed) {
                (Ok(rows), Ok(())) => {
                    lease.clean();
                    return Ok(rows);
                }
                (Err(failure), _) | (Ok(_), Err(failure)) => failure,
            };
            // Autocommit: the error has ended the statement's transaction.
            if !error::spoils_session(&failure) {
                lease.clean();
            }
            if attempt >= ATTEMPTS_MAX || !error::is_conflict(&failure) {
                return Err(error::failed(&failure));
            }
            back_off(attempt).await;
        }
        Err(error::timed_out("conflict"))
    }

    async fn send(
        &self,
        lease: &Lease,
        statement: &Query,
        parameters: &[Parameter<'_>],
        durable: bool,
    ) -> (Result<Vec<Row>, tokio_postgres::Error>, Result<(), tokio_postgres::Error>) {
        let ready = async {
            let client = lease.client();
            let prepared = self.0.config.prepared;
            let main = Ready::on(client, &self.1, statement, prepared).await?;
            let flush = if durable {
                Some(Ready::on(client, &self.1, &FLUSH, prepared).await?)
            } else {
                None
            };
            Ok((main, flush))
        };
        let (main, flush) = match ready.await {
            Ok(ready) => ready,
            Err(error) => return (Err(error), Ok(())),
        };
        let flushed = async {
            match &flush {
                Some(flush) => flush.rows(&[]).await.map(drop),
                None => Ok(()),
            }
        };
        // Polled in this order, hence sent in this order.
        futures_util::future::join(main.rows(parameters), flushed).await
    }

    /// A connection from the pool. It is closed when dropped, unless [`Lease::clean`] is called.
    pub(super) async fn lease(&self) -> Result<Lease, StoreError> {
        let object = self.0.connections.get().await;
        self.observe();
        match object {
            Ok(object) => {
                let cancels = self.0.config.prepared == Prepared::Auto;
                Ok(Lease::new(object, cancels.then(|| self.0.tls.clone())))
            }
            Err(PoolError::Backend(error)) => Err(error::unconnected(&error)),
            Err(PoolError::Timeout(TimeoutType::Wait)) => Err(error::timed_out("wait")),
            Err(PoolError::Timeout(TimeoutType::Create)) => Err(error::timed_out("connect")),
            Err(PoolError::Timeout(TimeoutType::Recycle)) => Err(error::timed_out("recycle")),
            Err(
                error @ (PoolError::Closed
                | PoolError::NoRuntimeSpecified
                | PoolError::PostCreateHook(_)),
            ) => Err(StoreError::Unavailable(PostgresError::text(error.to_string()).into())),
        }
    }

    /// Waits for an answer of the server, for a bounded time.
    pub(super) async fn bounded<T>(
        &self,
        answer: impl Future<Output = T>,
    ) -> Result<T, StoreError> {
        let answer = tokio::time::timeout(self.0.config.answer_max(), answer).await;
        answer.map_err(|_| {
            // The server is probably unreachable, so its idle connections are dead, too. They are closed here, so
            // that no other caller waits for the same time-out on each of them.
            drop(self.0.connections.retain(|_, _| false));
            error::timed_out("answer")
        })
    }

    pub(super) fn seal(&self) -> Option<&Seal> {
        self.0.config.seal.as_ref()
    }

    pub(super) fn config(&self) -> &PoolConfig {
        &self.0.config
    }

    fn observe(&self) {
        if !self.0.observed {
            return;
        }
        let status = self.0.connections.status();
        let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
        metrics::gauge!("tollgate_pool_size").set(count(status.size));
        metrics::gauge!("tollgate_pool_available").set(count(status.available));
        metrics::gauge!("tollgate_pool_waiting").set(count(status.waiting));
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("schema", &self.1.name())
            .field("status", &self.0.connections.status())
            .finish_non_exhaustive()
    }
}

/// Waits before a retry, so that the conflicting statement can finish.
pub(super) async fn back_off(attempt: u32) {
    metrics::counter!("tollgate_pool_conflicts_total").increment(1);
    tokio::time::sleep(Duration::from_millis(5).saturating_mul(attempt)).await;
}

fn one(rows: Vec<Row>) -> Result<Row, StoreError> {
    let count = rows.len();
    let mut rows = rows.into_iter();
    match (rows.next(), rows.next()) {
        (Some(row), None) => Ok(row),
        _ => Err(StoreError::Refused(
            PostgresError::text(format!("{count} rows instead of one")).into(),
        )),
    }
}
