//! The sections of the file, one type each.

use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroU32, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    domain::{dialect::Dialect, rate::Replica},
    provider::upstream::SecretRef,
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
    /// Default 4096. The most calls that are open at once; more are refused with 503.
    pub calls_in_flight_max: usize,
    /// Default 10,000. The most connections that are open at once; more wait to be accepted.
    pub connections_max: usize,
    /// Default `75s`. How long a client may take to send a request's head, counted from when its
    /// connection is idle: so also how long a kept-alive connection stays. Longer than the idle
    /// time of the load balancer in front, or it will send requests into closing connections.
    #[serde(with = "humantime_serde")]
    pub header_read_timeout: Duration,
    /// Default `1m`. How long a request body may take to come whole; a slower one is refused with 408.
    #[serde(with = "humantime_serde")]
    pub body_read_timeout: Duration,
    /// Default `1m`. How long a client may leave an answer unread that fills every buffer on the way;
    /// then its connection is cut. Without a bound, one caller could keep every place for a call.
    #[serde(with = "humantime_serde")]
    pub write_stall_timeout: Duration,
    /// Default `1h`. How long an answer may take, from the call to its last byte; then it is cut, and what was
    /// delivered is settled.
    #[serde(with = "humantime_serde")]
    pub answer_timeout: Duration,
    /// Default `30s`. How long open calls may go on after a signal to stop; then they are cut.
    #[serde(with = "humantime_serde")]
    pub shutdown_grace: Duration,
    /// Default `15s`. How long may pass after the last call: up to half of it for answers that are drained for clients that
    /// have left, the rest for writing the ends of calls.
    #[serde(with = "humantime_serde")]
    pub finish_grace: Duration,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin_listen: None,
            cors_origins: Vec::new(),
            body_bytes_max: 4 * 1024 * 1024,
            calls_in_flight_max: 4096,
            connections_max: 10_000,
            header_read_timeout: Duration::from_secs(75),
            body_read_timeout: Duration::from_mins(1),
            write_stall_timeout: Duration::from_mins(1),
            answer_timeout: Duration::from_hours(1),
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
    /// Default: as `url`; none where `prepared` is `never`. The server's own address, spelled as `url`,
    /// where `url` is a pooler's: on one connection the server is listened to for changes of policies
    /// and kill switches, and a pooler does not pass those on. Without it they are found out within
    /// seconds for open calls, within 30 s for policies.
    pub listen_url: Option<String>,
    /// Default 16. The most connections of this process.
    pub pool_size: usize,
    /// Default `2s`. How long a call waits for a free connection before it is refused with 503.
    #[serde(with = "humantime_serde")]
    pub wait_timeout: Duration,
    /// Default `5s`. How long opening a connection may take.
    #[serde(with = "humantime_serde")]
    pub create_timeout: Duration,
    /// Default `auto`. `never` works through a pooler that has no prepared statements.
    pub prepared: Prepared,
    /// Default `tollgate`. Where a person's role is read whose token names none: our own table, or
    /// LiteLLM's in the same database. `tollgate migrate` sets the database to it.
    pub membership: Membership,
    /// Default: none. Where the key is that claims are sealed with, `env:NAME` or `file:/path`: at least 64
    /// hexadecimal digits. `tollgate migrate` makes the database ask for seals.
    pub seal_key: Option<SecretRef>,
    /// Default `10s`. How long a call waits while its organization is moved to another place, before it is refused
    /// with 503.
    #[serde(with = "humantime_serde")]
    pub move_timeout: Duration,
    /// Default: none. Further databases, by name, that organizations may be placed in.
    pub placements: BTreeMap<String, Placement>,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: None,
            listen_url: None,
            pool_size: 16,
            wait_timeout: Duration::from_secs(2),
            create_timeout: Duration::from_secs(5),
            prepared: Prepared::Auto,
            membership: Membership::Tollgate,
            seal_key: None,
            move_timeout: Duration::from_secs(10),
            placements: BTreeMap::new(),
        }
    }
}

/// `[database.placements.NAME]`: a database of organizations that do not share the main one. The directory knows it
/// by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Placement {
    /// No default. As [`Database::url`].
    pub url: Option<String>,
    /// Default: where `url` is, except where `prepared` is `never`. As [`Database::listen_url`].
    pub listen_url: Option<String>,
    /// Default 4. The most connections of this process to it.
    pub pool_size: usize,
}

impl Default for Placement {
    fn default() -> Self {
        Self { url: None, listen_url: None, pool_size: 4 }
    }
}

/// Where memberships are read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Membership {
    /// `tollgate.memberships`.
    #[default]
    Tollgate,
    /// `public."LiteLLM_OrganizationMembership"`.
    Litellm,
}

impl From<Membership> for crate::postgres::membership::Membership {
    fn from(source: Membership) -> Self {
        match source {
            Membership::Tollgate => Self::Tollgate,
            Membership::Litellm => Self::Litellm,
        }
    }
}

/// Whether statements are prepared by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prepared {
    /// Once a connection.
    #[default]
    Auto,
    /// Never: each statement carries its types.
    Never,
}

/// `[identity]`: whose tokens are believed, and where they say who is calling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// No default. The tokens' `iss`, exactly.
    pub issuer: Option<String>,
    /// No default. The tokens' `aud`.
    pub audience: Option<String>,
    /// No default. Where the issuer publishes its keys.
    pub jwks_url: Option<String>,
    /// Default `false`. Whether that address may be plain `http` beyond this machine: only where a
    /// mesh protects the way, since whoever sits on it could replace the keys.
    pub jwks_allow_http: bool,
    /// Default `/organization_id`. JSON pointer to the organization's UUID in the payload.
    pub organization_claim: String,
    /// Default: none. JSON pointer to the role; without it the membership table decides.
    pub role_claim: Option<String>,
    /// Default: none. JSON pointer to the team's UUID.
    pub team_claim: Option<String>,
    /// Default: none. JSON pointer to the UUID of the key that the token was given out for.
    pub key_claim: Option<String>,
    /// Default `["RS256"]`. The signature algorithms that are accepted.
    pub algorithms: Vec<String>,
    /// Default `10s`, at most `30s`. How far the issuer's clock may be off.
    #[serde(with = "humantime_serde")]
    pub leeway: Duration,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: None,
            jwks_url: None,
            jwks_allow_http: false,
            organization_claim: "/organization_id".to_owned(),
            role_claim: None,
            team_claim: None,
            key_claim: None,
            algorithms: vec!["RS256".to_owned()],
            leeway: Duration::from_secs(10),
        }
    }
}

/// `[[upstream]]`: a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    /// No default. The name in logs, metrics and records.
    pub name: String,
    /// Default `openai`. Whose API it speaks: `openai` or `anthropic`.
    pub dialect: Dialect,
    /// No default. What `/v1/…` is appended to.
    pub base_url: String,
    /// Default `false`. Whether `base_url` may be plain http beyond this machine: only where a mesh protects the way.
    pub allow_http: bool,
    /// Default: none. Reference to the key that is sent to it.
    pub credential: Option<SecretRef>,
    /// No default. The models it serves; a trailing `*` stands for any ending.
    pub models: Vec<String>,
    /// Default `2m`. How long it may take from the request to the answer's head.
    #[serde(with = "humantime_serde")]
    pub head_timeout: Duration,
    /// Default `1m`. How long it may pause within an answer.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// Default `false`. Whether it is told the organization, as `x-tollgate-organization-id`.
    pub send_organization: bool,
    /// Default: none. Beginnings of further request headers that are passed on to it.
    pub forward_header_prefixes: Vec<String>,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            name: String::new(),
            dialect: Dialect::OpenAi,
            base_url: String::new(),
            allow_http: false,
            credential: None,
            models: Vec::new(),
            head_timeout: Duration::from_mins(2),
            idle_timeout: Duration::from_mins(1),
            send_organization: false,
            forward_header_prefixes: Vec::new(),
        }
    }
}

/// `[limits]`: rates across replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Default 1. How many replicas share the rates: each grants its part. Credits and budgets are
    /// exact whatever stands here.
    pub replicas: NonZeroU32,
    /// Default: unknown. Which of the replicas this one is, from 0; each needs its own. What of a rate
    /// does not divide evenly goes to the first ones. Where it is unknown, each rounds down: all
    /// together never grant more than the rate, but may grant less, and nothing of a rate that is
    /// smaller than the number of replicas.
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

/// `[credit]`: how long credits are held, and waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Credit {
    /// Default `2s`. How long such a call waits for credits or budget to come back, before it is refused.
    /// `0s` refuses it at once.
    #[serde(with = "humantime_serde")]
    pub wait_max: Duration,
    /// Default 1024. How many calls of one organization wait at once; more are refused at once.
    pub waiting_max: usize,
    /// Default `1m`, at least `1s`. How long a hold stands without a heartbeat: what a gateway that was killed
    /// has set aside comes back after that. Heartbeats are sent four times as often, and what was used since
    /// the last one is not billed then.
    #[serde(with = "humantime_serde")]
    pub hold_ttl: Duration,
    /// Default `5m`. How often the books of every organization are checked, for the metrics `tollgate_books_…`: one
    /// connection more, and a tenth of its time at the most. `0s` leaves it to others.
    #[serde(with = "humantime_serde")]
    pub reconcile_every: Duration,
}

impl Default for Credit {
    fn default() -> Self {
        Self {
            wait_max: Duration::from_secs(2),
            waiting_max: 1_024,
            hold_ttl: Duration::from_mins(1),
            reconcile_every: Duration::from_mins(5),
        }
    }
}

/// `[audit]`: the bound of what the audit log keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// Default 256 KiB. The most that is kept of a prompt, and of a response, in bytes.
    pub capture_bytes_max: usize,
}

impl Default for Audit {
    fn default() -> Self {
        Self { capture_bytes_max: 256 * 1024 }
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
