//! Connects to the server of an address, or to the first of its servers that accepts the connection.
//!
//! # Why not the driver's own way
//! The driver tries the servers of an address in order, each for the whole connect time-out. A first server whose
//! machine is off would use up all the time, and the server that has taken over would never be tried. Here each server
//! gets an equal part of the time, which includes the startup handshake. The server that was used last is tried first,
//! so after a failover nobody waits for the dead server again. An old primary that comes back is not used, because its
//! successor is on a higher timeline.

use std::{
    future::pending,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use deadpool_postgres::Connect;
use tokio::{task::JoinHandle, time::timeout};
use tokio_postgres::{
    Client, Config, Error, NoTls, Socket,
    config::LoadBalanceHosts,
    tls::{MakeTlsConnect, TlsConnect},
};

use super::{timeline::Timelines, tls::Tls};

/// The servers of one address.
#[derive(Clone)]
pub(super) struct Hosts(Arc<Inner>);

struct Inner {
    each: Vec<Config>,
    each_max: Duration,
    /// The index in `each` of the server that was used last.
    good: AtomicUsize,
    timelines: Timelines,
    tls: Tls,
}

type Connected = Result<(Client, JoinHandle<()>), Error>;

impl Hosts {
    /// The servers of `address`, which together get `connect_max`.
    pub(super) fn of(address: &Config, connect_max: Duration, tls: Tls) -> Self {
        let each = apart(address);
        let each_max =
            u32::try_from(each.len()).ok().and_then(|count| connect_max.checked_div(count));
        let each_max = each_max.unwrap_or(connect_max);
        Self(Arc::new(Inner {
            each,
            each_max,
            good: AtomicUsize::new(0),
            timelines: Timelines::default(),
            tls,
        }))
    }

    /// Whether a connection made at that moment may be to a superseded server.
    pub(super) fn is_outdated(&self, made: Instant) -> bool {
        self.0.timelines.is_outdated(made)
    }

    async fn first_that_answers(&self) -> Connected {
        let Inner { each, each_max, good, .. } = &*self.0;
        let first = good.load(Ordering::Relaxed);
        let mut failure = None;
        for (place, server) in each.iter().enumerate().cycle().skip(first).take(each.len()) {
            match timeout(*each_max, self.open(server)).await {
                Ok(Ok(Some(connected))) => {
                    good.store(place, Ordering::Relaxed);
                    return Ok(connected);
                }
                Ok(Err(error)) => failure = Some(error),
                Ok(Ok(None)) | Err(_) => {}
            }
        }
        match failure {
            Some(error) => Err(error),
            // No server answered, or only a superseded one: the pool's own time-out reports that.
            None => pending().await,
        }
    }

    /// `None` if another server is known to have taken over from this one.
    async fn open(&self, server: &Config) -> Result<Option<(Client, JoinHandle<()>)>, Error> {
        let Inner { each, timelines, tls, .. } = &*self.0;
        let connected = match tls.clone() {
            Tls::Plain => connect(server, NoTls).await?,
            Tls::Rustls(tls) => connect(server, tls).await?,
        };
        // With one server there is nothing to choose.
        let admitted = each.len() < 2 || timelines.admit(&connected.0).await?;
        Ok(admitted.then_some(connected))
    }
}

impl Connect for Hosts {
    fn connect(&self, _: &Config) -> Pin<Box<dyn Future<Output = Connected> + Send + '_>> {
        Box::pin(self.first_that_answers())
    }
}

async fn connect<T>(server: &Config, tls: T) -> Connected
where
    T: MakeTlsConnect<Socket>,
    T::TlsConnect: TlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, connection) = server.connect(tls).await?;
    let driven = async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to Postgres ended");
        }
    };
    Ok((client, tokio::spawn(driven)))
}

/// One configuration for each server of the address.
pub(super) fn apart(address: &Config) -> Vec<Config> {
    let count = address.get_hosts().len().max(address.get_hostaddrs().len());
    // The driver itself picks servers at random.
    if count < 2 || address.get_load_balance_hosts() == LoadBalanceHosts::Random {
        return vec![address.clone()];
    }
    (0..count).map(|place| only(address, place)).collect()
}

/// The address without its other servers.
fn only(address: &Config, place: usize) -> Config {
    let mut one = Config::new();
    match address.get_hosts().get(place) {
        Some(tokio_postgres::config::Host::Tcp(name)) => one.host(name),
        #[cfg(unix)]
        Some(tokio_postgres::config::Host::Unix(folder)) => one.host_path(folder),
        None => &mut one,
    };
    if let Some(hostaddr) = address.get_hostaddrs().get(place) {
        one.hostaddr(*hostaddr);
    }
    let ports = address.get_ports();
    if let Some(port) = ports.get(place).or(ports.first()) {
        one.port(*port);
    }
    if let Some(user) = address.get_user() {
        one.user(user);
    }
    if let Some(password) = address.get_password() {
        one.password(password);
    }
    if let Some(dbname) = address.get_dbname() {
        one.dbname(dbname);
    }
    if let Some(options) = address.get_options() {
        one.options(options);
    }
    if let Some(name) = address.get_application_name() {
        one.application_name(name);
    }
    if let Some(limit) = address.get_connect_timeout() {
        one.connect_timeout(*limit);
    }
    if let Some(limit) = address.get_tcp_user_timeout() {
        one.tcp_user_timeout(*limit);
    }
    one.keepalives(address.get_keepalives()).keepalives_idle(address.get_keepalives_idle());
    if let Some(interval) = address.get_keepalives_interval() {
        one.keepalives_interval(interval);
    }
    if let Some(retries) = address.get_keepalives_retries() {
        one.keepalives_retries(retries);
    }
    one.ssl_mode(address.get_ssl_mode())
        .ssl_negotiation(address.get_ssl_negotiation())
        .channel_binding(address.get_channel_binding())
        .target_session_attrs(address.get_target_session_attrs());
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_several_servers_is_the_same_address_with_each_of_them() {
        let address: Config = "postgres://me:secret@one:1,%2Ftmp%2Ftwo:2,three:3/data?target_session_attrs=read-write\
                               &sslmode=require&channel_binding=require&application_name=us&options=-c%20jit%3Doff\
                               &connect_timeout=7&tcp_user_timeout=8&keepalives=0&keepalives_idle=9\
                               &keepalives_interval=10&keepalives_retries=11&sslnegotiation=direct"
            .parse()
            .unwrap();
        let each = apart(&address);
        assert_eq!(each.len(), 3);
        // Put together again, nothing is missing.
        let mut again = each[0].clone();
        for one in &each[1..] {
            assert_eq!((one.get_hosts().len(), one.get_ports().len()), (1, 1));
            match &one.get_hosts()[0] {
                tokio_postgres::config::Host::Tcp(name) => again.host(name),
                tokio_postgres::config::Host::Unix(folder) => again.host_path(folder),
            };
            again.port(one.get_ports()[0]);
        }
        assert_eq!(again, address);
    }

    #[test]
    fn one_port_is_the_port_of_all_servers_and_addresses_stay_with_their_names() {
        let both = "host=one,two hostaddr=127.0.0.1,127.0.0.2 port=7";
        let each = apart(&both.parse().unwrap());
        let seen: Vec<_> =
            each.iter().map(|one| (one.get_ports().to_vec(), one.get_hostaddrs().len())).collect();
        assert_eq!(seen, [(vec![7], 1), (vec![7], 1)]);
        let alone: Config = "host=one".parse().unwrap();
        assert_eq!(apart(&alone), [alone]);
    }
}
