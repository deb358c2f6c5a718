//! The sections of the file, one type each.

use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroU32, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    audit::AuditLayer,
    call::CallLayer,
    credit::CreditLayer,
    domain::rate::Replica,
    postgres::{PoolConfig, PostgresStore, Prepared, membership::Membership},
    provider::upstream::SecretRef,
    store::coalesce::Options,
    tenant::{Algorithm, VerifierConfig},
};

/// `[server]`: where and how the gateway listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Default `127.0.0.1:8080`. Where callers come in.
    pub listen: SocketAddr,
    /// Default: none. Where `/metrics`, `/healthz` and `/readyz` are served; without it they are
    /// served on `listen`.
    pub admin_listen: Option<SocketAddr>,
    /// Default: none. The origins whose pages may call from a browser, such as `https://app.example.com`. A list in the
    /// environment is separated by commas.
    pub cors_origins: Vec<String>,
    /// Default 4 MiB. The longest request body, in bytes; of a compressed one, what it decompresses to.
    pub body_bytes_max: usize,
    /// Default 4096. The most calls that are open at once; more are refused with 503. One organization alone gets three
    /// quarters of them.
    pub calls_in_flight_max: usize,
    /// Default 10,000. The most connections that are open at once; more wait to be accepted.
    pub connections_max: usize,
    /// Default 100. The most calls that are open at once on one HTTP/2 connection.
    pub connection_streams_max: u32,
    /// Default `1h`. How long a connection may take new calls. Then its client is told to open another, and the
    /// connection ends with its last open call.
    #[serde(with = "humantime_serde")]
    pub connection_age_max: Duration,
    /// Default 32 KiB, at least 8 KiB. The longest head of a request, in bytes; a longer one is refused with 431.
    pub head_bytes_max: usize,
    /// Default `75s`. How long a client may take to send a request's head, counted from when its connection is idle. So
    /// this is also how long an idle connection is kept alive. Must be longer than the idle time-out of the load
    /// balancer in front, or the load balancer will send requests into closing connections.
    #[serde(with = "humantime_serde")]
    pub header_read_timeout: Duration,
    /// Default `1m`. How long a client may take to send a request's body; a slower request is refused with 408.
    #[serde(with = "humantime_serde")]
    pub body_read_timeout: Duration,
    /// Default `1m`. How long a client may read nothing of its answer once every buffer on the way is full. Then its
    /// connection is cut, or on HTTP/2 its stream. Without this bound, one caller could keep all of
    /// `calls_in_flight_max` open.
    #[serde(with = "humantime_serde")]
    pub write_stall_timeout: Duration,
    /// Default `1h`. How long an answer may take, from the request to its last byte. Then the answer is cut and settled.
    #[serde(with = "humantime_serde")]
    pub answer_timeout: Duration,
    /// Default: `answer_timeout`. How long an answer is read on for its usage, within `answer_timeout`, after its client
    /// has left or was told that the call is over. Then the call is charged what was seen; or its hold, if more may have
    /// been done.
    #[serde(with = "humantime_serde")]
    pub drain_max: Option<Duration>,
    /// Default `30s`. How long open calls may go on after a signal to stop; then they are cut.
    #[serde(with = "humantime_serde")]
    pub shutdown_grace: Duration,
    /// Default `15s`. How long the shutdown may take after the last call. Up to half of it is for draining answers
    /// whose clients have left, the rest for writing the ends of calls.
    #[serde(with = "humantime_serde")]
    pub finish_grace: Duration,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin_listen: None,
            cors_origins: Vec::new(),
            body_bytes_max: CallLayer::BODY_BYTES_MAX,
            calls_in_flight_max: 4096,
            connections_max: 10_000,
            connection_streams_max: 100,
            connection_age_max: Duration::from_hours(1),
            head_bytes_max: 32 << 10,
            header_read_timeout: Duration::from_secs(75),
            body_read_timeout: CallLayer::BODY_WAIT,
            write_stall_timeout: Duration::from_mins(1),
            answer_timeout: CallLayer::ANSWER_WAIT,
            drain_max: None,
            shutdown_grace: Duration::from_secs(30),
            finish_grace: Duration::from_secs(15),
        }
    }
}

/// `[database]`: Postgres, the database of record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// No default. `postgres://…` without a password, or a reference to one with it:
    /// `env:NAME`, `file:/path`. The server logs in as `tollgate_login`.
    pub url: Option<String>,
    /// Default: as `url`; none if `prepared` is `never`. The address of Postgres itself if `url` is a pooler's, spelled
    /// as `url`. One connection listens there for changes of policies and kill switches, which a pooler does not pass
    /// on. Without it, open calls notice changes within seconds, and policies are read again within 30 s.
    pub listen_url: Option<String>,
    /// Default 16. The most connections of this process.
    pub pool_size: usize,
    /// Default `2s`. How long a call waits for a free connection before it is refused with 503.
    #[serde(with = "humantime_serde")]
    pub wait_timeout: Duration,
    /// Default `5s`. How long opening a connection may take.
    #[serde(with = "humantime_serde")]
    pub create_timeout: Duration,
    /// Default `auto`. `never` works through a pooler that does not support prepared statements.
    pub prepared: Prepared,
    /// Default `tollgate`. The table with the roles of people whose tokens name no role: our own, or LiteLLM's in the
    /// same database. `tollgate migrate` applies this setting to the database.
    pub membership: Membership,
    /// Default: none. Reference to the key that seals claims, `env:NAME` or `file:/path`. The key has at least 64
    /// hexadecimal digits. `tollgate migrate` makes the database demand seals.
    pub seal_key: Option<SecretRef>,
    /// Default `10s`. How long a call waits for the move of its organization to another place, before the call is
    /// refused with 503.
    #[serde(with = "humantime_serde")]
    pub move_timeout: Duration,
    /// Default: none. Further databases, by name, in which organizations can be placed.
    pub placements: BTreeMap<String, Placement>,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: None,
            listen_url: None,
            pool_size: PoolConfig::CONNECTIONS_MAX,
            wait_timeout: PoolConfig::WAIT_MAX,
            create_timeout: PoolConfig::CONNECT_MAX,
            prepared: Prepared::Auto,
            membership: Membership::Tollgate,
            seal_key: None,
            move_timeout: PostgresStore::WAIT_MAX,
            placements: BTreeMap::new(),
        }
    }
}

/// `[database.placements.NAME]`: a database for organizations that are not in the main one. The directory refers to it
/// by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Placement {
    /// No default. As [`Database::url`].
    pub url: Option<String>,
    /// Default: as `url`; none if `prepared` is `never`. As [`Database::listen_url`].
    pub listen_url: Option<String>,
    /// Default 4. The most connections of this process to this database.
    pub pool_size: usize,
}

impl Default for Placement {
    fn default() -> Self {
        Self { url: None, listen_url: None, pool_size: 4 }
    }
}

/// `[identity]`: whose tokens are accepted, and which claims name the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// No default. The tokens' `iss`, exactly.
    pub issuer: Option<String>,
    /// No default. The tokens' `aud`.
    pub audience: Option<String>,
    /// No default. The address where the issuer publishes its keys.
    pub jwks_url: Option<String>,
    /// Default `false`. Whether `jwks_url` may be plain `http` beyond this machine. Set it only if a mesh protects the
    /// network path: otherwise an attacker on the path could replace the keys.
    pub jwks_allow_http: bool,
    /// Default `/organization_id`. JSON pointer to the organization's UUID in the payload.
    pub organization_claim: String,
    /// Default: none. JSON pointer to the role. Without it, the role is read from the membership table.
    pub role_claim: Option<String>,
    /// Default: none. JSON pointer to the team's UUID.
    pub team_claim: Option<String>,
    /// Default: none. JSON pointer to the UUID of the key for which the token was issued.
    pub key_claim: Option<String>,
    /// Default `["RS256"]`. The signature algorithms that are accepted.
    pub algorithms: Vec<Algorithm>,
    /// Default `10s`, at most `30s`. How far the issuer's clock may be off.
    #[serde(with = "humantime_serde")]
    pub leeway: Duration,
}

impl Default for Identity {
    fn default() -> Self {
        let VerifierConfig { organization_claim, algorithms, leeway, .. } =
            VerifierConfig::new("", "");
        Self {
            issuer: None,
            audience: None,
            jwks_url: None,
            jwks_allow_http: false,
            organization_claim,
            role_claim: None,
            team_claim: None,
            key_claim: None,
            algorithms,
            leeway,
        }
    }
}

/// `[limits]`: rates across replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Default 1. How many replicas share the rates: each grants its share. Credits and budgets are exact whatever this
    /// value is.
    pub replicas: NonZeroU32,
    /// Default: unknown. The number of this replica, from 0; each replica needs its own. The remainder of a rate that
    /// does not divide evenly goes to the first replicas. A replica that does not know its number rounds its share
    /// down. Then all replicas together never grant more than the rate, but may grant less. They grant nothing of a
    /// rate that is smaller than the number of replicas.
    pub replica_index: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { replicas: NonZeroU32::MIN, replica_index: None }
    }
}

impl From<Limits> for Replica {
    fn from(Limits { replicas, replica_index }: Limits) -> Self {
        let replica = Self::of(replicas);
        replica_index.map_or(replica, |index| replica.numbered(index))
    }
}

/// `[credit]`: how long holds last, and how long calls wait for credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Credit {
    /// Default `2s`. How long a call waits for other calls to release credits or budget, before the call is refused.
    /// `0s` refuses such a call at once.
    #[serde(with = "humantime_serde")]
    pub wait_max: Duration,
    /// Default 1024. How many calls of one organization wait at once; more are refused at once.
    pub waiting_max: usize,
    /// Default `1m`, at least `1s`. How long a hold lasts without a heartbeat. After that, the credits that a killed
    /// gateway has set aside are available again. Heartbeats are sent four times in this period. Usage after the last
    /// heartbeat of a killed gateway is not billed.
    #[serde(with = "humantime_serde")]
    pub hold_ttl: Duration,
    /// Default `5m`. How often the books of every organization are checked, for the metrics `tollgate_books_…`. The
    /// check uses one extra connection, for at most a tenth of its time. `0s` turns the check off in this process.
    #[serde(with = "humantime_serde")]
    pub reconcile_every: Duration,
    /// Default 10. As many calls within an hour that cost more than their upper bounds are an alert: a line at level
    /// `error`, and the metric `tollgate_hold_overruns_alert` is 1. 0: never.
    pub overruns_alert: usize,
}

impl Default for Credit {
    fn default() -> Self {
        let Options { wait_max, waiting_max, .. } = Options::default();
        Self {
            wait_max,
            waiting_max,
            hold_ttl: CreditLayer::HOLD_TTL,
            reconcile_every: Duration::from_mins(5),
            overruns_alert: 10,
        }
    }
}

/// `[audit]`: how much the audit log keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// Default 256 KiB. The most bytes that are kept of a prompt, and of a response.
    pub capture_bytes_max: usize,
}

impl Default for Audit {
    fn default() -> Self {
        Self { capture_bytes_max: AuditLayer::CAPTURE_BYTES_MAX }
    }
}

/// `[log]`: what operators read on standard error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Default `text`. `json` writes one object a line.
    pub format: LogFormat,
    /// Default `info`. A level, or directives such as `info,tollgate::access=warn`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

/// The shape of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}
