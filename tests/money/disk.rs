//! The disk of the write-ahead log is full: the server panics, and again each time it is started, until there is room.
//!
//! Needs the right to mount a file system.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_postgres::NoTls;
use tokio_util::sync::CancellationToken;
use tollgate::postgres::cluster::{Cluster, Options, testing};

use super::{
    harness::{House, RICH, until},
    load::{CALM, Load, WELL_IN},
    outages::{bounds, the_books_are_right, two_gateways},
};

const CLIENTS: usize = 16;

/// A file system in memory where the server keeps its log.
struct Disk(PathBuf);

impl Disk {
    /// Moves the log of a cluster onto a disk of so many megabytes. `None` where that is not permitted.
    async fn under(cluster: &Cluster, megabytes: u32) -> Option<Self> {
        cluster.stop().await.unwrap();
        let log = cluster.postgres_dir().join("pg_wal");
        let aside = cluster.postgres_dir().join("pg_wal.aside");
        std::fs::rename(&log, &aside).unwrap();
        std::fs::create_dir(&log).unwrap();
        let size = format!("size={megabytes}m,mode=0700");
        let mounted = run("mount", &["-t", "tmpfs", "-o", &size, "tollgate-test"], &[&log])
            .then(|| Self(log));
        let log = mounted.as_ref()?.0.as_path();
        assert!(run("cp", &["-a"], &[&aside.join("."), log]));
        assert!(run("chown", &["--reference"], &[&aside, log]));
        cluster.restart().await.unwrap();
        mounted
    }

    fn enlarge(&self, megabytes: u32) {
        let size = format!("remount,size={megabytes}m");
        assert!(run("mount", &["-o", &size], &[&self.0]));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever still has files open there keeps them.
        run("umount", &["--lazy"], &[&self.0]);
    }
}

fn run(program: &str, arguments: &[&str], paths: &[&Path]) -> bool {
    let output = Command::new(program).args(arguments).args(paths).output();
    output.is_ok_and(|output| output.status.success())
}

/// Starts the server again whenever it has ended, as a service manager does.
async fn supervise(cluster: &Cluster, until: &CancellationToken) {
    while !until.is_cancelled() {
        // What it has ended of may be there still.
        drop(cluster.revive().await);
        sleep(Duration::from_millis(100)).await;
    }
}

/// Somebody else, who writes what he can, whenever the server is there.
async fn fill(cluster: &Cluster, until: &CancellationToken) {
    const MUCH: &str = "select pg_logical_emit_message(false, 'much', repeat('x', 4 << 20))";
    while !until.is_cancelled() {
        if let Ok((client, connection)) = cluster.config("postgres").connect(NoTls).await {
            let connection = tokio::spawn(connection);
            while !until.is_cancelled() && client.batch_execute(MUCH).await.is_ok() {}
            connection.abort();
        }
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_the_log_costs_no_call_its_place_in_the_books_and_is_recovered_from() {
    let mut options = Options::ephemeral();
    for name in ["min_wal_size", "max_wal_size"] {
        options.settings.push((name.to_owned(), "32MB".to_owned()));
    }
    // A server that has no room to start in is given time until it has.
    options.start_max = Duration::from_mins(4);
    let cluster = Cluster::temporary(options).await.unwrap();
    let disk = Disk::under(&cluster, 96).await;
    if !testing::has("the right to mount a file system", disk.is_some()) {
        return;
    }
    let disk = disk.unwrap();
    let house = House::on_its_own(&cluster, bounds()).await;
    let (gateways, program) = two_gateways(&house).await;
    let org = house.organization(RICH).await;
    // Whoever reads it is gone: nothing of the log may be removed.
    let stuck = "select pg_create_physical_replication_slot('stuck', true)";
    house.admin.batch_execute(stuck).await.unwrap();
    let (load, full, over) = (Load::default(), CancellationToken::new(), CancellationToken::new());
    let faults = async {
        let begun = Instant::now();
        load.more_whole(CALM).await;
        let normal = load.latencies(begun);
        eprintln!("before: {normal}");
        let outage = async {
            until("it is not ready", async || !house.ready().await).await;
            load.more_refused(20 * CLIENTS).await;
            until("it is for want of room", async || says(&cluster, "No space left on device"))
                .await;
            full.cancel();
        };
        tokio::join!(fill(&cluster, &full), outage);
        disk.enlarge(1024);
        until("the server is back", async || house.ready().await).await;
        let back = Instant::now();
        let took = load.well_again(back, &normal).await;
        assert!(took <= WELL_IN, "{took:?}");
        over.cancel();
    };
    let calling = load.during(&gateways, &org, CLIENTS, faults);
    tokio::join!(calling, supervise(&cluster, &over));
    eprintln!("{}; the longest took {:?}", load.tally(), load.longest());
    the_books_are_right(house, program, &[&load]).await;
    cluster.stop().await.unwrap();
    drop(disk);
}

/// Whether the server has said so, since it was started the last time but one.
fn says(cluster: &Cluster, what: &str) -> bool {
    ["server.log", "server.log.1"].iter().any(|log| {
        let log = cluster.postgres_dir().with_file_name(log);
        std::fs::read_to_string(log).is_ok_and(|said| said.contains(what))
    })
}
