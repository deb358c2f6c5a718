//! What Postgres says, as a fault of the store.

use std::{error::Error, fmt, io};

use tokio_postgres::error::SqlState;

use crate::store::StoreError;

/// An answer of Postgres that is not the one asked for. Found as the source of a [`StoreError`].
///
/// Its text is for the operator's log: it has no parameters, no rows and no detail.
#[derive(Debug)]
pub struct PostgresError {
    code: Option<SqlState>,
    text: String,
}

impl PostgresError {
    /// The SQLSTATE, where the server gave one.
    pub fn code(&self) -> Option<&SqlState> {
        self.code.as_ref()
    }

    /// The fault of Postgres behind a fault of the store, if that is what it is.
    pub fn of(error: &StoreError) -> Option<&Self> {
        error.source()?.downcast_ref()
    }

    /// Whether it is a fault of Postgres with this SQLSTATE.
    pub(super) fn is(error: &StoreError, sqlstate: &str) -> bool {
        Self::of(error).and_then(Self::code).is_some_and(|code| code.code() == sqlstate)
    }

    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { code: None, text: text.into() }
    }
}

impl fmt::Display for PostgresError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => write!(f, "{} (SQLSTATE {})", self.text, code.code()),
            None => f.write_str(&self.text),
        }
    }
}

impl Error for PostgresError {}

impl From<&tokio_postgres::Error> for PostgresError {
    fn from(error: &tokio_postgres::Error) -> Self {
        let Some(answer) = error.as_db_error() else {
            let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
            return Self::text(format!("{error}{source}"));
        };
        // Messages of these classes repeat the values that did not fit.
        let repeats_values = matches!(answer.code().code().get(..2), Some("22" | "23"));
        let text =
            if repeats_values { "data that Postgres does not take" } else { answer.message() };
        Self { code: Some(answer.code().clone()), text: text.to_owned() }
    }
}

/// Our own code: the organization's rows are not in this schema any more, or not yet.
pub(super) const MOVED_AWAY: &str = "TG301";
/// Our own code: the organization's rows are being moved, and nothing may be written here meanwhile.
pub(super) const BEING_MOVED: &str = "TG302";

/// Whether that is what the server said: nothing was done, because of where the organization is.
pub(super) fn is_elsewhere(error: &StoreError) -> bool {
    let code = PostgresError::of(error).and_then(PostgresError::code);
    code.is_some_and(|code| matches!(code.code(), MOVED_AWAY | BEING_MOVED))
}

/// Whether a lock was waited for in vain.
pub(super) fn is_lock_timeout(error: &StoreError) -> bool {
    PostgresError::of(error).and_then(PostgresError::code) == Some(&SqlState::LOCK_NOT_AVAILABLE)
}

/// No connection could be had, for whatever reason.
pub(super) fn unconnected(error: &tokio_postgres::Error) -> StoreError {
    StoreError::Unavailable(PostgresError::from(error).into())
}

/// A statement failed.
pub(super) fn failed(error: &tokio_postgres::Error) -> StoreError {
    let away = match error.code() {
        Some(code) => may_pass(code),
        None => is_transport(error),
    };
    let fault = PostgresError::from(error).into();
    if away { StoreError::Unavailable(fault) } else { StoreError::Refused(fault) }
}

/// What was waited for did not come in time.
pub(super) fn timed_out(what: &'static str) -> StoreError {
    metrics::counter!("tollgate_pool_timeouts_total", "what" => what).increment(1);
    StoreError::Unavailable(PostgresError::text(format!("{what} timed out")).into())
}

/// Whether the statement lost against another one and may simply be sent again.
pub(super) fn is_conflict(error: &tokio_postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(&(SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED))
    )
}

/// Whether the session, not the statement, is what failed: its plans are of another schema, a pooler gave it another
/// server, or its server takes no writes (any more) where another one may.
pub(super) fn spoils_session(error: &tokio_postgres::Error) -> bool {
    error.code().is_none_or(|code| {
        matches!(
            *code,
            SqlState::READ_ONLY_SQL_TRANSACTION
                | SqlState::FEATURE_NOT_SUPPORTED
                | SqlState::INVALID_SQL_STATEMENT_NAME
                | SqlState::DUPLICATE_PSTATEMENT
        )
    })
}

fn may_pass(code: &SqlState) -> bool {
    // Connection, resources, operator's intervention, operating system.
    let class = matches!(code.code().get(..2), Some("08" | "53" | "57" | "58"));
    class
        || matches!(code.code(), MOVED_AWAY | BEING_MOVED)
        || matches!(
            *code,
            SqlState::READ_ONLY_SQL_TRANSACTION
                | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
                | SqlState::T_R_SERIALIZATION_FAILURE
                | SqlState::T_R_DEADLOCK_DETECTED
                | SqlState::LOCK_NOT_AVAILABLE
                // No valid seal on the claims: the clock is wrong, or the database has lost the key. What is to be
                // written waits until it is right.
                | SqlState::INVALID_AUTHORIZATION_SPECIFICATION
                // A migration is missing.
                | SqlState::UNDEFINED_FUNCTION
                | SqlState::UNDEFINED_TABLE
                | SqlState::UNDEFINED_COLUMN
                | SqlState::INVALID_SCHEMA_NAME
                | SqlState::FEATURE_NOT_SUPPORTED
                | SqlState::INVALID_SQL_STATEMENT_NAME
                | SqlState::DUPLICATE_PSTATEMENT
        )
}

fn is_transport(error: &tokio_postgres::Error) -> bool {
    let io = error.source().is_some_and(<dyn Error + 'static>::is::<io::Error>);
    error.is_closed() || io || error.to_string().starts_with("unexpected message")
}
