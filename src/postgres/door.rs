//! The only way to the tables of organizations: claims, role and statements in one transaction.
//!
//! One flush sends `begin`, the claims, the statements, a check of where the organization is now, and `commit`: one
//! round trip. Nothing else can be sent, and success means that every stage succeeded. A run that is dropped before
//! it resolves is cancelled, and its connection is closed. Its transaction may have been committed.

use std::fmt;

use futures_util::future::{join, join_all};
use tokio_postgres::{Row, types::Type};

use super::{
    error::{self, PostgresError},
    lease::{Lease, Ready},
    pool::{ATTEMPTS_MAX, Pool, back_off},
    query::{Parameter, Query},
    seal::Sealed,
};
use crate::{domain::role::Role, store::StoreError};

const ENTER: Query =
    Query::new(include_str!("sql/statements/calls/enter.sql"), &[Type::TEXT, Type::TEXT]);
const LEAVE: Query = Query::new(include_str!("sql/statements/calls/leave.sql"), &[]);
/// A constant, so that it cannot fail. After a failed `begin`, each pipelined statement would commit by itself.
const BEGIN: &str = "begin";
const COMMIT: &str = "commit";

/// The database role a statement runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DoorRole {
    /// `tollgate_owner`.
    Owner,
    /// `tollgate_admin`.
    Admin,
    /// `tollgate_member`.
    Member,
    /// `tollgate_viewer`.
    Viewer,
    /// `tollgate_platform`.
    Platform,
}

impl DoorRole {
    /// Its name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "tollgate_owner",
            Self::Admin => "tollgate_admin",
            Self::Member => "tollgate_member",
            Self::Viewer => "tollgate_viewer",
            Self::Platform => "tollgate_platform",
        }
    }
}

impl From<Role> for DoorRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Owner => Self::Owner,
            Role::Admin => Self::Admin,
            Role::Member => Self::Member,
            Role::Viewer => Self::Viewer,
            Role::Platform => Self::Platform,
        }
    }
}

/// One of several statements of a transaction.
#[derive(Clone, Copy)]
pub struct Step<'a> {
    statement: &'a Query,
    parameters: &'a [Parameter<'a>],
}

impl<'a> Step<'a> {
    /// The statement with its parameters.
    pub const fn new(statement: &'a Query, parameters: &'a [Parameter<'a>]) -> Self {
        Self { statement, parameters }
    }
}

impl fmt::Debug for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the parameters: they may hold what people wrote.
        f.debug_struct("Step").field("sql", &self.statement.sql()).finish_non_exhaustive()
    }
}

/// Runs statements on the tables of organizations, under claims and a role. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Door(Pool);

impl Door {
    /// How many statements one transaction may have.
    pub const STEPS_MAX: usize = 16;

    /// A door on this pool.
    pub const fn new(pool: Pool) -> Self {
        Self(pool)
    }

    /// Runs one statement under these claims (verified, as JSON text) and this role.
    ///
    /// # Errors
    /// As [`Pool::rows`]. After an error nothing is stored, unless the answer to the commit was lost. Also if the
    /// organization's rows are no longer in this schema, or if the statements write while its rows are being moved.
    pub async fn run(
        &self,
        claims: &str,
        role: DoorRole,
        statement: &Query,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let mut answers = self.run_all(claims, role, &[Step::new(statement, parameters)]).await?;
        Ok(answers.pop().unwrap_or_default())
    }

    /// Runs several statements, at most [`STEPS_MAX`](Self::STEPS_MAX), in one transaction: all of them or none.
    /// They take one round trip, so no statement can depend on the answer to an earlier one.
    ///
    /// # Errors
    /// As [`run`](Self::run); also if there are too many statements.
    pub async fn run_all(
        &self,
        claims: &str,
        role: DoorRole,
        steps: &[Step<'_>],
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        self.begin_with(BEGIN, claims, role, steps).await
    }

    pub(super) const fn pool(&self) -> &Pool {
        &self.0
    }

    pub(super) fn sealed<'a>(&'a self, claims: &'a str) -> Sealed<'a> {
        self.0.sealed(claims)
    }

    async fn begin_with(
        &self,
        begin: &str,
        claims: &str,
        role: DoorRole,
        steps: &[Step<'_>],
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        if steps.len() > Self::STEPS_MAX {
            return Err(StoreError::Refused(
                PostgresError::text("too many statements in one transaction").into(),
            ));
        }
        for attempt in 1.. {
            let lease = self.0.lease().await?;
            let claims = self.0.sealed(claims);
            let outcome =
                self.0.bounded(pipeline(&self.0, &lease, begin, claims, role, steps)).await?;
            if outcome.ended {
                lease.clean();
            }
            match outcome.answers {
                Ok(answers) => return Ok(answers),
                Err(failure) if attempt < ATTEMPTS_MAX && error::is_conflict(&failure) => {
                    back_off(attempt).await;
                }
                Err(failure) => return Err(error::failed(&failure)),
            }
        }
        Err(error::timed_out("conflict"))
    }
}

struct Outcome {
    answers: Result<Vec<Vec<Row>>, tokio_postgres::Error>,
    /// Whether the transaction began and has ended, by a commit or a rollback.
    ended: bool,
}

async fn pipeline(
    pool: &Pool,
    lease: &Lease,
    begin: &str,
    claims: Sealed<'_>,
    role: DoorRole,
    steps: &[Step<'_>],
) -> Outcome {
    let prepare = async {
        let (client, schema, prepared) = (lease.client(), pool.schema(), pool.config().prepared);
        let enter = Ready::on(client, schema, &ENTER, prepared).await?;
        let mut ready = Vec::with_capacity(steps.len());
        for step in steps {
            ready.push(Ready::on(client, schema, step.statement, prepared).await?);
        }
        let last = Ready::on(client, schema, &LEAVE, prepared).await?;
        Ok((client, enter, ready, last))
    };
    let (client, enter, ready, last) = match prepare.await {
        Ok(ready) => ready,
        // No transaction began. The connection is closed all the same: its prepared statements may be for another
        // version of the schema.
        Err(error) => return Outcome { answers: Err(error), ended: false },
    };
    let role = role.as_str();
    let entered: [Parameter<'_>; 2] = [&claims, &role];
    let answers = ready.iter().zip(steps).map(|(ready, step)| ready.rows(step.parameters));
    // Messages are sent in the order in which their futures are first polled, and `join` and `join_all` (for so few
    // futures) poll in order. All answers are awaited, even after an error: only then has the transaction ended.
    let opening = join(client.batch_execute(begin), enter.rows(&entered));
    let closing = join(last.rows(&[]), client.batch_execute(COMMIT));
    let ((opening, answers), closing) = join(join(opening, join_all(answers)), closing).await;
    let ((begin, entered), (left, commit)) = (opening, closing);
    let ended = begin.is_ok() && commit.is_ok();
    let answers = begin
        .and(entered)
        .and_then(|_| answers.into_iter().collect::<Result<Vec<_>, _>>())
        .and_then(|answers| left.and(commit).map(|()| answers));
    // After an error `commit` rolls back, and still answers `Ok`: the earlier error is reported.
    let spoilt = answers.as_ref().is_err_and(error::spoils_session);
    Outcome { answers, ended: ended && !spoilt }
}

#[cfg(test)]
#[path = "door_tests.rs"]
mod tests;
