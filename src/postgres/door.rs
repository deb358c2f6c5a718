//! The one door to the tables of organizations: claims, role and statements in one transaction.
//!
//! Begin, claims, statements, a look at where the organization is now, and commit leave in one flush and take one
//! round trip. There is no way to send anything else, and success means that every stage succeeded. A door that is
//! dropped before it resolves is cancelled and its connection closed; what it sent may have been committed.

use std::fmt;

use futures_util::future::{join, join_all};
use tokio_postgres::{Row, types::Type};

use super::{
    error::{self, PostgresError},
    lease::{Lease, Ready},
    pool::{ATTEMPTS_MAX, Pool, back_off},
    seal::Sealed,
    statement::{Parameter, Statement},
};
use crate::{domain::role::Role, store::StoreError};

const ENTER: Statement =
    Statement::new(include_str!("sql/statements/calls/enter.sql"), &[Type::TEXT, Type::TEXT]);
const LEAVE: Statement = Statement::new(include_str!("sql/statements/calls/leave.sql"), &[]);
/// Constant, so that it cannot fail: what is pipelined behind a failed one would be committed alone.
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
    statement: &'a Statement,
    parameters: &'a [Parameter<'a>],
}

impl<'a> Step<'a> {
    /// The statement with its parameters.
    pub const fn new(statement: &'a Statement, parameters: &'a [Parameter<'a>]) -> Self {
        Self { statement, parameters }
    }
}

impl fmt::Debug for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Parameters hold what people wrote.
        f.debug_struct("Step").field("sql", &self.statement.sql()).finish_non_exhaustive()
    }
}

/// The door. Cheap to clone.
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
    /// As [`Pool::rows`]. On an error nothing is stored, unless the answer to the commit was lost. An organization
    /// whose rows are no longer in this schema, or are just being moved elsewhere, is an error too.
    pub async fn run(
        &self,
        claims: &str,
        role: DoorRole,
        statement: &Statement,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let mut answers = self.run_all(claims, role, &[Step::new(statement, parameters)]).await?;
        Ok(answers.pop().unwrap_or_default())
    }

    /// Runs several statements, at most [`STEPS_MAX`](Self::STEPS_MAX), in one transaction: all of them or none.
    /// Still one round trip, so none can depend on the answer to one before it.
    ///
    /// # Errors
    /// As [`run`](Self::run); too many statements are refused.
    pub async fn run_all(
        &self,
        claims: &str,
        role: DoorRole,
        steps: &[Step<'_>],
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        self.begin_with(BEGIN, claims, role, steps).await
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
    /// Whether the transaction was begun and has ended, one way or the other.
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
        // Nothing was begun; the connection is closed all the same, for it may be of another schema.
        Err(error) => return Outcome { answers: Err(error), ended: false },
    };
    let role = role.as_str();
    let entered: [Parameter<'_>; 2] = [&claims, &role];
    let answers = ready.iter().zip(steps).map(|(ready, step)| ready.rows(step.parameters));
    // Everything is sent in the order of first polls, which `join` and `join_all` (of so few) keep. All
    // answers are awaited, also after an error: only then has the transaction ended.
    let opening = join(client.batch_execute(begin), enter.rows(&entered));
    let closing = join(last.rows(&[]), client.batch_execute(COMMIT));
    let ((opening, answers), closing) = join(join(opening, join_all(answers)), closing).await;
    let ((begin, entered), (left, commit)) = (opening, closing);
    let ended = begin.is_ok() && commit.is_ok();
    let answers = begin
        .and(entered)
        .and_then(|_| answers.into_iter().collect::<Result<Vec<_>, _>>())
        .and_then(|answers| left.and(commit).map(|()| answers));
    // A commit after an error is a rollback, and answers Ok: the error stands.
    let spoilt = answers.as_ref().is_err_and(error::spoils_session);
    Outcome { answers, ended: ended && !spoilt }
}

#[cfg(test)]
#[path = "door_tests.rs"]
mod tests;
