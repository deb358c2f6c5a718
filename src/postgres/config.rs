//! The settings and bounds of the pool.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_postgres::Config;

use super::seal::Seal;

/// Whether statements are prepared by name on each connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Prepared {
    /// A statement is prepared once per connection, on first use, and then not parsed again.
    #[default]
    Auto,
    /// Statements are never prepared by name. Each is sent with the types of its parameters, still in one round trip.
    /// For `PgBouncer` before 1.21 in transaction mode. It accepts neither limits in the startup message nor cancel
    /// requests, so these are not sent. Then the limits apply that the bootstrap sets on the role `tollgate_login`.
    Never,
}

/// How the pool connects, and a bound for every wait.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolConfig {
    /// The address of Postgres, and the user who logs in. The address may name several servers: then
    /// `target_session_attrs=read-write` selects the one that accepts writes, and the one used last is tried first.
    pub connection: Config,
    /// Default 16. The maximum number of connections.
    pub connections_max: usize,
    /// Default 2 s. How long to wait for a free connection.
    pub wait_max: Duration,
    /// Default 5 s. How long connecting may take. Several servers in the address share this time.
    pub connect_max: Duration,
    /// Default 5 s. How long the server may work on one statement (`statement_timeout`). The gateway waits two
    /// seconds longer for the answer, and then closes the connection.
    pub statement_max: Duration,
    /// Default 2 s. How long a statement waits for a lock (`lock_timeout`).
    pub lock_max: Duration,
    /// Default 10 s. How long a transaction may stay open without a statement (`idle_in_transaction_session_timeout`).
    pub idle_in_transaction_max: Duration,
    /// Default [`Prepared::Auto`].
    pub prepared: Prepared,
    /// Default none. The key that seals claims, for a database that accepts only sealed ones
    /// ([`sealing`](super::sealing)).
    pub seal: Option<Seal>,
}

impl PoolConfig {
    /// The most connections, unless said otherwise.
    pub const CONNECTIONS_MAX: usize = 16;
    /// How long to wait for a free connection, unless said otherwise.
    pub const WAIT_MAX: Duration = Duration::from_secs(2);
    /// How long connecting may take, unless said otherwise.
    pub const CONNECT_MAX: Duration = Duration::from_secs(5);

    const ANSWER_MARGIN: Duration = Duration::from_secs(2);

    /// The defaults, for this server.
    pub fn new(connection: Config) -> Self {
        Self {
            connection,
            connections_max: Self::CONNECTIONS_MAX,
            wait_max: Self::WAIT_MAX,
            connect_max: Self::CONNECT_MAX,
            statement_max: Duration::from_secs(5),
            lock_max: Duration::from_secs(2),
            idle_in_transaction_max: Duration::from_secs(10),
            prepared: Prepared::Auto,
            seal: None,
        }
    }

    pub(super) const fn answer_max(&self) -> Duration {
        self.statement_max.saturating_add(Self::ANSWER_MARGIN)
    }

    /// The configuration of a connection, with every bound set.
    pub(super) fn bounded(&self) -> Config {
        let mut config = self.connection.clone();
        if config.get_application_name().is_none() {
            config.application_name("tollgate");
        }
        config.connect_timeout(self.connect_max).tcp_user_timeout(self.answer_max());
        config.keepalives_idle(Duration::from_secs(30));
        if self.prepared == Prepared::Auto {
            let mut options = config.get_options().unwrap_or_default().to_owned();
            for (name, limit) in [
                ("statement_timeout", self.statement_max),
                ("lock_timeout", self.lock_max),
                ("idle_in_transaction_session_timeout", self.idle_in_transaction_max),
                // A backend whose client is gone must not keep waiting for a lock, and then commit.
                ("client_connection_check_interval", Duration::from_secs(1)),
            ] {
                // Zero would mean no limit.
                options.push_str(" -c ");
                options.push_str(name);
                options.push('=');
                options.push_str(&limit.as_millis().max(1).to_string());
            }
            config.options(options.trim_start());
        }
        config
    }
}
