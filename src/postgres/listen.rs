//! Hears at once when a policy or a kill switch of any organization changes: LISTEN, on a connection of its own.
//!
//! Notices get lost while the connection is away, so every new one counts as a change of everything.
//! The connection is asked every two seconds whether it still hears; a server that says nothing is
//! given up three seconds later, however the network hides its death. Of several servers in the address each is tried
//! in its turn. Behind a pooler in transaction mode LISTEN does not hold: give the server's own address.

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

/// How long making the connection may take, and any answer on it.
const ANSWER_MAX: Duration = Duration::from_secs(3);
const ASK_EVERY: Duration = Duration::from_secs(2);
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A session that was lost sooner is one more attempt that failed: every new one costs all that is cached.
const LASTING: Duration = Duration::from_secs(10);

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Something of this organization has changed.
    Change(OrganizationId),
    /// It is heard from now on; whatever happened before may have been missed.
    Anew,
}

/// Why nothing is heard.
#[derive(Debug)]
enum Deaf {
    Postgres(tokio_postgres::Error),
    /// An answer did not come in time.
    Silent,
    /// The session is not the one that began to listen.
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

/// Listens in this database until it is dropped, and tells `heard`, which must not block. Connects as often as
/// it takes, with pauses of up to five seconds.
///
/// For several databases, one of these for each. The gauge `tollgate_listen_connected` says how many
/// of them hear.
pub async fn listen(database: Config, mut heard: impl FnMut(Heard) + Send) {
    let mut database = database;
    database
        .application_name("tollgate listen")
        .connect_timeout(ANSWER_MAX)
        .tcp_user_timeout(ANSWER_MAX)
        .keepalives_idle(ASK_EVERY)
        .keepalives_interval(Duration::from_secs(1))
        .keepalives_retries(3);
    // So that it is there from the first, and an alarm can be set on it.
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
        // Once a loss: what follows is the same over and over.
        if said {
            tracing::debug!(%deaf, "changes of policies are still not heard");
        } else {
            tracing::warn!(%deaf, "changes of policies are not heard of at once; until they are, they are found out by asking every few seconds");
            said = true;
        }
        sleep(pause).await;
        pause = pause.saturating_mul(2).min(pause_max);
    }
}

/// Connects and hears, until it does not any more.
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
    // Both are needed at once: the client's questions travel only while the connection is read.
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
                // Anybody in the database may send one; what is none of ours says nothing to us.
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

/// Begins to listen, and asks for ever whether the session still does.
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
            // The other side is there as long as this one.
            drop(began.send(Listening::new()));
        }
        sleep(ASK_EVERY).await;
    }
}

/// A session that hears, as the gauge sees it.
struct Listening;

impl Listening {
    fn new() -> Self {
        metrics::gauge!("tollgate_listen_connected").increment(1.0);
        tracing::info!("changes of policies are heard of at once");
        Self
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        metrics::gauge!("tollgate_listen_connected").decrement(1.0);
    }
}
