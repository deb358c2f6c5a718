//! Reports changes of policies, limits and kill switches at once: `LISTEN` on a connection of its own.
//!
//! Notifications are lost while the connection is down, so a new connection counts as a change of every organization.
//! Every two seconds a query checks that the session still listens. A server that does not answer within three seconds
//! is given up, even if the network reports no error. If the address names several servers, they are tried in turn.
//! `LISTEN` does not work behind a pooler in transaction mode: give the server's own address.

use std::{convert::Infallible, fmt, future::poll_fn, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::oneshot,
    time::{Instant, sleep, timeout},
};
use tokio_postgres::{
    AsyncMessage, Client, Config, Connection, NoTls, SimpleQueryMessage, Socket,
    tls::MakeTlsConnect,
};

use super::{error::PostgresError, hosts, timeline::Timelines, tls::Tls};
use crate::domain::ids::OrganizationId;

const LISTEN: &str = include_str!("sql/statements/calls/listen.sql");
const LISTENING: &str = include_str!("sql/statements/calls/listening.sql");
const CHANNEL: &str = "tollgate_policy";

/// The time-out for connecting, and for each answer.
const ANSWER_MAX: Duration = Duration::from_secs(3);
const ASK_EVERY: Duration = Duration::from_secs(2);
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A session that ends sooner counts as a failed attempt, so the pause grows: each new session empties the caches.
const LASTING: Duration = Duration::from_secs(10);

/// What a listener reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The policy, the limits or the kill switches of this organization have changed.
    Change(OrganizationId),
    /// A session has begun to listen. Changes from before it may have been missed.
    Anew,
}

/// Why no session listens.
#[derive(Debug)]
enum Deaf {
    Postgres(tokio_postgres::Error),
    /// An answer did not come in time.
    Silent,
    /// Another session answered than the one that began to listen.
    Pooled,
    /// Another server has taken over from this one.
    Outdated,
    Tls(crate::store::StoreError),
}

impl fmt::Display for Deaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(error) => PostgresError::from(error).fmt(f),
            Self::Silent => f.write_str("no answer in time"),
            Self::Outdated => f.write_str("another server has taken over from this one"),
            Self::Pooled => f.write_str(
                "a pooler stands in between: set database.listen_url to the server's own address",
            ),
            Self::Tls(error) => error.fmt(f),
        }
    }
}

impl From<tokio_postgres::Error> for Deaf {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

/// Listens in this database until the future is dropped, and calls `heard`, which must not block. After a loss it
/// connects again, with pauses of up to five seconds.
///
/// Each database needs a listener of its own. The gauge `tollgate_listen_connected` says how many of them are
/// listening.
pub async fn listen(database: Config, mut heard: impl FnMut(Heard) + Send) {
    let mut database = database;
    database
        .application_name("tollgate listen")
        .connect_timeout(ANSWER_MAX)
        .tcp_user_timeout(ANSWER_MAX)
        .keepalives_idle(ASK_EVERY)
        .keepalives_interval(Duration::from_secs(1))
        .keepalives_retries(3);
    // The gauge exists from the start, so that an alert can be set on it.
    metrics::gauge!("tollgate_listen_connected").increment(0.0);
    let servers = hosts::apart(&database);
    let timelines = Timelines::default();
    let share = u32::try_from(servers.len()).unwrap_or(1);
    let pause_max = PAUSE_MAX.checked_div(share).unwrap_or(PAUSE_MAX);
    let mut pause = PAUSE_MIN;
    let mut said = false;
    for server in servers.iter().cycle() {
        let mut server = server.clone();
        let mut began = None;
        let tell = |what| {
            if what == Heard::Anew {
                began = Some(Instant::now());
            }
            heard(what);
        };
        let deaf = match Tls::of(&mut server) {
            Ok(Tls::Plain) => hear(&server, NoTls, &timelines, tell).await,
            Ok(Tls::Rustls(tls)) => hear(&server, tls, &timelines, tell).await,
            Err(error) => Err(Deaf::Tls(error)),
        };
        let Err(deaf) = deaf;
        if began.is_some_and(|began| began.elapsed() >= LASTING) {
            (pause, said) = (PAUSE_MIN, false);
        }
        // One warning for each loss: the attempts that follow would repeat it.
        if said {
            tracing::debug!(%deaf, "still not listening for policy changes");
        } else {
            tracing::warn!(
                %deaf,
                "not listening for policy changes; until the connection is back, polling finds them every few seconds"
            );
            said = true;
        }
        sleep(pause).await;
        pause = pause.saturating_mul(2).min(pause_max);
    }
}

/// Connects and listens until the session is lost.
async fn hear<T>(
    database: &Config,
    tls: T,
    timelines: &Timelines,
    mut heard: impl FnMut(Heard),
) -> Result<Infallible, Deaf>
where
    T: MakeTlsConnect<Socket>,
{
    let connected = timeout(ANSWER_MAX, database.connect(tls)).await.map_err(|_| Deaf::Silent)?;
    let (client, connection) = connected?;
    let (began, beginning) = oneshot::channel();
    // Both run at once: the client's queries make progress only while the connection is polled.
    tokio::select! {
        biased;
        lost = read(connection, beginning, &mut heard) => lost,
        lost = keep_asking(&client, timelines, began) => lost,
    }
}

/// Reads what the server sends.
async fn read<S>(
    mut connection: Connection<Socket, S>,
    mut beginning: oneshot::Receiver<Listening>,
    heard: &mut impl FnMut(Heard),
) -> Result<Infallible, Deaf>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut listening = None;
    loop {
        let message = tokio::select! {
            biased;
            began = &mut beginning, if listening.is_none() => {
                listening = Some(began.map_err(|_| Deaf::Silent)?);
                heard(Heard::Anew);
                continue;
            }
            message = poll_fn(|cx| connection.poll_message(cx)) => message,
        };
        match message {
            Some(Ok(AsyncMessage::Notification(notice))) if notice.channel() == CHANNEL => {
                // Any user of the database may notify; a payload that is not an organization's id is ignored.
                if let Ok(organization) = notice.payload().parse() {
                    heard(Heard::Change(organization));
                }
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.into()),
            None => return Err(Deaf::Silent),
        }
    }
}

/// Begins to listen, then checks again and again that the session still does.
async fn keep_asking(
    client: &Client,
    timelines: &Timelines,
    began: oneshot::Sender<Listening>,
) -> Result<Infallible, Deaf> {
    let admitted = timeout(ANSWER_MAX, timelines.admit(client)).await.map_err(|_| Deaf::Silent)?;
    if !admitted? {
        return Err(Deaf::Outdated);
    }
    let answer = timeout(ANSWER_MAX, client.batch_execute(LISTEN)).await;
    answer.map_err(|_| Deaf::Silent)??;
    let mut began = Some(began);
    loop {
        let answer = timeout(ANSWER_MAX, client.simple_query(LISTENING)).await;
        let answer = answer.map_err(|_| Deaf::Silent)??;
        let listens = answer.iter().any(
            |message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("t")),
        );
        if !listens {
            return Err(Deaf::Pooled);
        }
        if let Some(began) = began.take() {
            // The receiver lives as long as this future.
            drop(began.send(Listening::new()));
        }
        sleep(ASK_EVERY).await;
    }
}

/// Counts a listening session in the gauge.
struct Listening;

impl Listening {
    fn new() -> Self {
        metrics::gauge!("tollgate_listen_connected").increment(1.0);
        tracing::info!("listening for policy changes");
        Self
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        metrics::gauge!("tollgate_listen_connected").decrement(1.0);
    }
}
