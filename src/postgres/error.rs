//! Errors of Postgres, as errors of the store.

use std::{error::Error, fmt, io};

use tokio_postgres::error::SqlState;

use crate::store::StoreError;

/// An error of Postgres, or of the connection to it. It is the source of a [`StoreError`].
///
/// Its text is for the operator's log: it contains no parameters, no rows and no detail.
#[derive(Debug)]
pub struct PostgresError {
    code: Option<SqlState>,
    text: String,
}

impl PostgresError {
    /// The SQLSTATE, if the server sent one.
    pub fn code(&self) -> Option<&SqlState> {
        self.code.as_ref()
    }

    /// The Postgres error behind an error of the store, if Postgres caused it.
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
        // Messages of these classes (data exceptions, constraint violations) repeat the rejected values.
        let repeats_values = matches!(answer.code().code().get(..2), Some("22" | "23"));
        let text = if repeats_values { "Postgres rejected the data" } else { answer.message() };
        Self { code: Some(answer.code().clone()), text: text.to_owned() }
    }
}

/// Our own SQLSTATE: the organization's rows are no longer in this schema, or not yet.
pub(super) const MOVED_AWAY: &str = "TG301";
/// Our own SQLSTATE: the organization's rows are being moved, and until the move has ended nothing may be written here.
pub(super) const BEING_MOVED: &str = "TG302";

/// Whether the server refused because the organization's rows are elsewhere or are being moved. Nothing was done then.
pub(super) fn is_elsewhere(error: &StoreError) -> bool {
    let code = PostgresError::of(error).and_then(PostgresError::code);
    code.is_some_and(|code| matches!(code.code(), MOVED_AWAY | BEING_MOVED))
}

/// Whether the wait for a lock timed out.
pub(super) fn is_lock_timeout(error: &StoreError) -> bool {
    PostgresError::of(error).and_then(PostgresError::code) == Some(&SqlState::LOCK_NOT_AVAILABLE)
}

/// Connecting failed, for whatever reason.
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

/// A wait timed out.
pub(super) fn timed_out(what: &'static str) -> StoreError {
    metrics::counter!("tollgate_pool_timeouts_total", "what" => what).increment(1);
    StoreError::Unavailable(PostgresError::text(format!("{what} timed out")).into())
}

/// Whether a deadlock or a serialization failure aborted the statement, so that it can be sent again.
pub(super) fn is_conflict(error: &tokio_postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(&(SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED))
    )
}

/// Whether the session is at fault and not the statement: its plans are for another version of the schema, a pooler has
/// given it another server connection, or its server accepts no writes (any more) while another server may.
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
    // Connection exceptions, insufficient resources, operator intervention, system errors.
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
                // The claims have no valid seal: a clock is wrong, or the database has lost the key. Writes are
                // retried until that is repaired.
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
