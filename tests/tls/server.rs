//! A Postgres with TLS and passwords, and databases in it.

use std::{
    fs,
    num::NonZeroU32,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::prelude::{BASE64_STANDARD, Engine};
use tokio::sync::OnceCell;
use tokio_postgres::Client;
use tollgate::postgres::{
    cluster::{Cluster, ClusterError, Options},
    migrate,
};

use super::{
    authority::{Certificate, Flaw, HOST},
    front::{Front, Manner},
    harness::until,
};

const PASSWORD: &str = "walnut";
/// Over the network: with TLS and a password only. On the socket, which is for us: as one likes.
const ADMISSION: &str = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
const TEMPLATE: &str = "with_schema";

static SERVER: OnceCell<Server> = OnceCell::const_new();
static NEXT: AtomicU32 = AtomicU32::new(1);

/// The one of this process.
pub(crate) async fn server() -> &'static Server {
    SERVER.get_or_init(Server::start).await
}

pub(crate) struct Server {
    cluster: Cluster,
    port: u16,
}

impl Server {
    async fn start() -> Self {
        let (cluster, port) = listening().await;
        let server = Self { cluster, port };
        let folder = server.cluster.postgres_dir();
        let certificate = Certificate::with(Flaw::None);
        for (name, text) in [
            ("server.crt", certificate.pem.as_str()),
            ("server.key", certificate.key_pem.as_str()),
            ("pg_hba.conf", ADMISSION),
        ] {
            give(folder, name, text);
        }
        migrate::run(&server.cluster.config("postgres")).await.unwrap();
        let admin = server.admin("postgres").await;
        for sql in [
            &format!("alter role postgres password '{}'", verifier()),
            &format!("alter role tollgate_login password '{}'", verifier()),
            "alter system set ssl = on",
            "select pg_reload_conf()",
        ] {
            admin.batch_execute(sql).await.unwrap();
        }
        until("the server has TLS", async || {
            let session = server.admin("postgres").await;
            session.query_one("show ssl", &[]).await.unwrap().get::<_, &str>(0) == "on"
        })
        .await;
        let made = format!("create database {TEMPLATE}");
        admin.batch_execute(&made).await.unwrap();
        migrate::run(&server.cluster.config(TEMPLATE)).await.unwrap();
        server
    }

    /// As the superuser, on the socket.
    pub(crate) async fn admin(&self, database: &str) -> Client {
        let config = self.cluster.config(database);
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        client
    }

    /// A fresh database with the schema.
    pub(crate) async fn database(&self) -> String {
        self.made_from(TEMPLATE).await
    }

    /// A fresh database with nothing in it.
    pub(crate) async fn empty_database(&self) -> String {
        self.made_from("template0").await
    }

    async fn made_from(&self, template: &str) -> String {
        let name = format!("tls_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let admin = self.admin("postgres").await;
        admin.batch_execute(&format!("create database {name} template {template}")).await.unwrap();
        name
    }

    pub(crate) fn passing(&self) -> Manner {
        Manner::Passes(([127, 0, 0, 1], self.port).into())
    }

    /// The server is asked by a way on which it has no TLS.
    pub(crate) fn without_tls(&self) -> Manner {
        Manner::PassesPlain(self.socket())
    }

    pub(crate) fn denying(&self) -> Manner {
        Manner::Denies(self.socket())
    }

    pub(crate) fn ending(&self, flaw: Flaw) -> Manner {
        Manner::Ends(Certificate::with(flaw).acceptor(&[]), self.socket())
    }

    fn socket(&self) -> PathBuf {
        self.cluster.socket_dir().join(format!(".s.PGSQL.{}", self.port))
    }

    /// The address of a database on the socket, as its administrator.
    pub(crate) fn socket_url(&self, database: &str) -> String {
        self.cluster.url(database)
    }

    /// What the server has written about this database.
    pub(crate) fn log(&self, database: &str) -> String {
        let log = self.cluster.postgres_dir().with_file_name("server.log");
        let marked = format!("[{database}]");
        let text = fs::read_to_string(log).unwrap();
        text.lines().filter(|line| line.contains(&marked)).collect::<Vec<_>>().join("\n")
    }
}

/// The address of a database behind a front, as this user, with further parameters: `sslmode=require`.
pub(crate) fn url(user: &str, front: &Front, database: &str, parameters: &str) -> String {
    let port = front.address.port();
    let parameters = if parameters.is_empty() { String::new() } else { format!("&{parameters}") };
    format!("postgres://{user}:{PASSWORD}@{HOST}:{port}/{database}?hostaddr=127.0.0.1{parameters}")
}

/// A cluster that listens on a port of its own.
async fn listening() -> (Cluster, u16) {
    for _ in 0..20 {
        // Free a moment ago: whoever takes it first has it, and the next one is tried.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut options = Options::ephemeral();
        options.port = port;
        let settings = [("listen_addresses", "127.0.0.1"), ("log_line_prefix", "%m %p [%d] ")];
        options.settings = settings.map(|(name, value)| (name.into(), value.into())).into();
        match Cluster::temporary(options).await {
            Ok(cluster) => return (cluster, port),
            Err(ClusterError::Start { log, .. }) if log.contains("in use") => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("every port that was free was taken a moment later");
}

/// The password as the server keeps it, by RFC 5802. In one round instead of the usual 4,096, which take long in code
/// that is not optimized.
fn verifier() -> String {
    let salt = *b"a salt of a test";
    let mut salted = [0; 32];
    let rounds = NonZeroU32::MIN;
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, PASSWORD.as_bytes(), &mut salted);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
    let stored = digest::digest(&digest::SHA256, hmac::sign(&key, b"Client Key").as_ref());
    let server = hmac::sign(&key, b"Server Key");
    let [salt, stored, server] =
        [&salt[..], stored.as_ref(), server.as_ref()].map(|bytes| BASE64_STANDARD.encode(bytes));
    format!("SCRAM-SHA-256${rounds}:{salt}${stored}:{server}")
}

/// A file of the server's own, which nobody else may read.
fn give(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let owner = fs::metadata(folder).unwrap();
    chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
}
