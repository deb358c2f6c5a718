//! TLS to Postgres, with the machine's root certificates, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
//! Certificates are always verified, with `sslmode=prefer` as well. But with `prefer` an attacker on the network can
//! pretend that the server has no TLS.

use tokio_postgres::{
    CancelToken, Config, NoTls,
    config::{Host, SslMode},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::PostgresError;
use crate::{store::StoreError, tls};

/// How a server's connections are made.
#[derive(Clone)]
pub(super) enum Tls {
    Plain,
    Rustls(MakeRustlsConnect),
}

impl Tls {
    /// As `sslmode` says. A unix socket needs no TLS.
    pub(super) fn of(config: &mut Config) -> Result<Self, StoreError> {
        let sockets = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
        if sockets && config.get_hostaddrs().is_empty() {
            config.ssl_mode(SslMode::Disable);
        }
        if config.get_ssl_mode() == SslMode::Disable {
            return Ok(Self::Plain);
        }
        let roots = tls::roots().map_err(|error| {
            let text = format!("the machine's root certificates: {error}");
            StoreError::Refused(PostgresError::text(text).into())
        })?;
        Ok(Self::Rustls(MakeRustlsConnect::new(tls::trusting(roots))))
    }

    pub(super) async fn cancel(self, token: CancelToken) -> Result<(), tokio_postgres::Error> {
        match self {
            Self::Plain => token.cancel_query(NoTls).await,
            Self::Rustls(tls) => token.cancel_query(tls).await,
        }
    }
}
