//! A private cluster starts, stops, and starts again after every kind of end.

use std::{fs, path::PathBuf, process::Command};

use tokio_postgres::NoTls;

use super::*;

struct Folder(PathBuf);

impl Folder {
    fn below(parent: &str) -> Self {
        Self(PathBuf::from(parent).join(format!("tollgate-test-{}", uuid::Uuid::new_v4())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Ok(elsewhere) = fs::read_to_string(self.0.join("location")) {
            drop(fs::remove_dir_all(PathBuf::from(elsewhere).parent().unwrap()));
        }
        drop(fs::remove_dir_all(&self.0));
    }
}

async fn one(cluster: &Cluster, sql: &str) -> String {
    let url: tokio_postgres::Config = cluster.url("postgres").parse().unwrap();
    let (client, connection) = url.connect(NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let row = client.query_one(sql, &[]).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
    row.get(0)
}

fn alive(pid: &str) -> bool {
    Command::new("sh").args(["-c", "kill -0 $1 2>/dev/null", "sh", pid]).status().unwrap().success()
}

fn postmaster(cluster: &Cluster) -> String {
    let state = fs::read_to_string(cluster.postgres_dir().join("postmaster.pid")).unwrap();
    state.lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn a_cluster_keeps_its_data_between_a_stop_and_a_start() {
    let folder = Folder::below("/tmp");
    let cluster = Cluster::start(&folder.0, Options::ephemeral()).await.unwrap();
    one(&cluster, "with t as (select 1) select set_config('a.b', 'c', false)").await;
    let (client, connection) = cluster.config("postgres").connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("create table kept as select 'yes' as v").await.unwrap();
    cluster.stop().await.unwrap();
    cluster.stop().await.unwrap();
    drop(cluster);
    let cluster = Cluster::start(&folder.0, Options::ephemeral()).await.unwrap();
    assert_eq!(one(&cluster, "select v from kept").await, "yes");
}

#[tokio::test]
async fn encoding_locale_and_durability_are_what_is_promised() {
    let cluster = Cluster::temporary(Options::default()).await.unwrap();
    for (name, value) in [
        ("server_encoding", "UTF8"),
        ("lc_collate", "C"),
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("listen_addresses", ""),
    ] {
        let sql = format!(
            "select coalesce(current_setting('{name}', true), (select datcollate::text from pg_database limit 1))"
        );
        assert_eq!(one(&cluster, &sql).await, value, "{name}");
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(cluster.socket_dir()).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn a_long_data_folder_and_two_clusters_at_once_work() {
    let folder = Folder::below("/tmp");
    let long = folder.0.join("x".repeat(120)).join("with space");
    let (first, second) = tokio::join!(
        Cluster::start(&long, Options::ephemeral()),
        Cluster::temporary(Options::ephemeral())
    );
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(first.socket_dir().join(".s.PGSQL.5432.lock").as_os_str().len() <= 103);
    assert_ne!(postmaster(&first), postmaster(&second));
    let (a, b) = tokio::join!(one(&first, "select 'a'::text"), one(&second, "select 'b'::text"));
    assert_eq!((a.as_str(), b.as_str()), ("a", "b"));
}

#[tokio::test]
async fn a_folder_in_use_is_refused_and_free_again_after_a_drop() {
    let folder = Folder::below("/tmp");
    let cluster = Cluster::start(&folder.0, Options::ephemeral()).await.unwrap();
    let refused = Cluster::start(&folder.0, Options::ephemeral()).await.unwrap_err();
    assert!(matches!(refused, ClusterError::InUse(_)), "{refused}");
    drop(cluster);
    let again = Cluster::start(&folder.0, Options::ephemeral()).await.unwrap();
    assert_eq!(one(&again, "select 'up'::text").await, "up");
}

#[tokio::test]
async fn a_server_that_was_killed_recovers_at_the_same_url() {
    let cluster = Cluster::temporary(Options::ephemeral()).await.unwrap();
    let url = cluster.url("postgres");
    one(&cluster, "select pg_current_wal_lsn()::text").await;
    for _ in 0..2 {
        cluster.kill().await.unwrap();
        cluster.restart().await.unwrap();
        assert_eq!(one(&cluster, "select 'up'::text").await, "up");
        cluster.stop_immediate().await.unwrap();
        cluster.restart().await.unwrap();
        assert_eq!(one(&cluster, "select 'up'::text").await, "up");
    }
    assert_eq!(cluster.url("postgres"), url);
}

#[tokio::test]
async fn a_standby_has_what_its_primary_has_and_takes_over() {
    let primary = Cluster::temporary(Options::ephemeral()).await.unwrap();
    let standby = Cluster::standby_of(&primary).await.unwrap();
    assert_eq!(one(&standby, "select pg_is_in_recovery()::text").await, "true");
    let (client, connection) = primary.config("postgres").connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("alter system set synchronous_standby_names = '*'").await.unwrap();
    client.batch_execute("select pg_reload_conf()").await.unwrap();
    let state = "select coalesce((select sync_state from pg_stat_replication), '')";
    let waited_for = async {
        while one(&primary, state).await != "sync" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), waited_for).await.unwrap();
    // By now the process that makes commits wait has read the new setting as well.
    client.batch_execute("checkpoint").await.unwrap();
    // The commit returns when the standby has it.
    client.batch_execute("create table kept as select 'yes' as v").await.unwrap();
    primary.kill().await.unwrap();
    standby.promote().await.unwrap();
    assert_eq!(one(&standby, "select v from kept").await, "yes");
    one(&standby, "with t as (select 1) select pg_current_xact_id()::text").await;
    assert!(matches!(standby.promote().await, Err(ClusterError::Start { .. })));
}

#[tokio::test]
async fn a_server_that_ended_by_itself_is_started_again_and_one_that_runs_is_left_alone() {
    let cluster = Cluster::temporary(Options::ephemeral()).await.unwrap();
    let first = postmaster(&cluster);
    assert!(!cluster.revive().await.unwrap());
    let killed = Command::new("kill").args(["-KILL", &first]).status().unwrap();
    assert!(killed.success());
    let revived = async {
        while !cluster.revive().await.unwrap() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), revived).await.unwrap();
    assert_eq!(one(&cluster, "select 'up'::text").await, "up");
    assert_ne!(postmaster(&cluster), first);
}

#[tokio::test]
async fn a_folder_only_root_may_enter_leads_to_one_the_server_can_reach() {
    let closed = Folder::below("/tmp");
    fs::DirBuilder::new().create(&closed.0).unwrap();
    fs::set_permissions(&closed.0, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let inner = Folder(closed.0.join("data"));
    for _ in 0..2 {
        let cluster = Cluster::start(&inner.0, Options::ephemeral()).await.unwrap();
        assert_eq!(one(&cluster, "select 'up'::text").await, "up");
        cluster.stop().await.unwrap();
    }
    // Where we are not root, the folder is ours and nothing needs to move.
    let root = matches!(Account::find().unwrap(), Account::Other { .. });
    assert_eq!(inner.0.join("location").exists(), root);
}

#[tokio::test]
async fn a_stale_pid_file_with_a_strangers_number_is_survived() {
    let folder = Folder::below("/tmp");
    let cluster = Cluster::start(&folder.0, Options::ephemeral()).await.unwrap();
    let pid_file = cluster.postgres_dir().join("postmaster.pid");
    let state = fs::read_to_string(&pid_file).unwrap();
    cluster.stop().await.unwrap();
    drop(cluster);
    let (_, tail) = state.split_once('\n').unwrap();
    fs::write(&pid_file, format!("{}\n{tail}", std::process::id())).unwrap();
    let cluster = Cluster::start(&folder.0, Options::ephemeral()).await.unwrap();
    assert_eq!(one(&cluster, "select 'up'::text").await, "up");
}

#[tokio::test]
async fn an_orphan_on_the_same_files_is_stopped_and_replaced() {
    let folder = Folder::below("/tmp");
    let cluster = Cluster::start(&folder.0, Options::ephemeral()).await.unwrap();
    let orphan = postmaster(&cluster);
    // As if we had been killed together with the supervisor: the lock is free, the server runs.
    drop(fs::remove_file(folder.0.join("lock")));
    let next = Cluster::start(&folder.0, Options::ephemeral()).await.unwrap();
    assert_eq!(one(&next, "select 'up'::text").await, "up");
    assert!(!alive(&orphan));
}

#[tokio::test]
async fn a_server_that_cannot_start_is_reported_with_the_end_of_its_log() {
    let options = Options {
        settings: vec![("shared_buffers".to_owned(), "nonsense".to_owned())],
        ..Options::ephemeral()
    };
    let error = Cluster::temporary(options).await.unwrap_err();
    assert!(error.to_string().contains("nonsense"), "{error}");
}

#[test]
fn the_url_encodes_what_a_uri_does_not_take() {
    assert_eq!(encoded("/tmp/a b"), "%2ftmp%2fa%20b");
    assert_eq!(encoded("ü?&"), "%c3%bc%3f%26");
}
