//! `PgBouncer` in transaction mode in front of this process's cluster, on a socket of its own.
//!
//! Where it is not installed nothing is tried, which is noted.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tokio_postgres::{Config, NoTls};
use tollgate::postgres::cluster::testing;

use super::harness::until;

const PORT: u16 = 6432;

/// A running `PgBouncer`, gone with this value.
#[derive(Debug)]
pub(crate) struct Pooler {
    child: Child,
    folder: PathBuf,
}

impl Pooler {
    /// `None` where it is not installed.
    pub(crate) async fn start() -> Option<Self> {
        let program = find();
        if !testing::has("pgbouncer", program.is_some()) {
            return None;
        }
        let program = program?;
        let cluster = testing::cluster().await.unwrap();
        let sockets = cluster.socket_dir();
        let folder = sockets.join(format!("pooler-{}", &uuid::Uuid::new_v4().to_string()[..8]));
        fs::create_dir(&folder).unwrap();
        let at = folder.display();
        let settings = format!(
            "[databases]\n* = host={} port=5432\n[pgbouncer]\nunix_socket_dir = {at}\nlisten_port = {PORT}\n\
             auth_type = trust\nauth_file = {at}/users\npool_mode = transaction\ndefault_pool_size = 4\n\
             max_client_conn = 100\nlogfile = {at}/log\n",
            sockets.display()
        );
        fs::write(folder.join("ini"), settings).unwrap();
        fs::write(folder.join("users"), "\"tollgate_login\" \"\"\n").unwrap();
        // It refuses to be root, as Postgres does: it gets the account that the cluster has.
        let owner = fs::metadata(sockets).unwrap();
        for path in [folder.clone(), folder.join("ini"), folder.join("users")] {
            chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        let mut command = Command::new(program);
        command.arg("-q").arg(folder.join("ini")).current_dir("/");
        if owner.uid() != fs::metadata("/proc/self").unwrap().uid() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pooler = Self { child, folder };
        let mut probe = cluster.config("postgres");
        probe.user("tollgate_login");
        pooler.stand_before(&mut probe);
        // The role comes with the first migration.
        testing::database().await.unwrap();
        until("pgbouncer lets the gateway's login in", async || probe.connect(NoTls).await.is_ok())
            .await;
        Some(pooler)
    }

    /// The same database and login, through this.
    pub(crate) fn stand_before(&self, login: &mut Config) {
        let mut through = Config::new();
        through.host_path(&self.folder).port(PORT);
        through.user(login.get_user().unwrap()).dbname(login.get_dbname().unwrap());
        *login = through;
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([Path::new("/usr/sbin").to_owned()]);
    folders.map(|folder| folder.join("pgbouncer")).find(|program| program.is_file())
}
