//! Hearing of changes: what is told, and that it goes on whatever becomes of the connection.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    net::{UnixListener, UnixStream},
    sync::{Notify, mpsc},
    time::{Instant, timeout},
};
use tollgate::{
    domain::{ids::OrganizationId, policy::Policy, scope::Scope, switch::Switch},
    postgres::{
        Operator, Pool,
        cluster::testing,
        listen::{Heard, listen},
    },
    store::admin::{PolicyAdmin, SwitchAdmin},
};
use uuid::Uuid;

use super::config;

/// Never waited for in full, unless it does not come.
const PATIENCE: Duration = Duration::from_secs(40);
const END_LISTENERS: &str = "select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and application_name = 'tollgate listen'";

/// What one listener has heard, until this is dropped.
struct Ear {
    heard: mpsc::Receiver<Heard>,
    listening: tokio::task::JoinHandle<()>,
}

impl Ear {
    fn at(database: tokio_postgres::Config) -> Self {
        let (tell, heard) = mpsc::channel(1_000);
        let listening = tokio::spawn(listen(database, move |what| tell.try_send(what).unwrap()));
        Self { heard, listening }
    }

    fn of(database: &testing::Database) -> Self {
        let mut login = database.config();
        login.user("tollgate_login");
        Self::at(login)
    }

    /// The next time that everything may have changed.
    async fn anew(&mut self) {
        while self.next().await != Heard::Anew {}
    }

    async fn next(&mut self) -> Heard {
        timeout(PATIENCE, self.heard.recv()).await.unwrap().unwrap()
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn organization(operator: &Operator) -> OrganizationId {
    let id = OrganizationId::new(Uuid::now_v7());
    assert!(operator.create_organization(id, "Test", "UTC").await.unwrap());
    id
}

#[tokio::test]
async fn every_change_of_a_policy_or_a_switch_is_heard() {
    let database = testing::database().await.unwrap();
    let operator = Operator::new(Pool::connect(config(&database, 2)).unwrap());
    let (one, other) = (organization(&operator).await, organization(&operator).await);
    let mut ear = Ear::of(&database);
    assert_eq!(ear.next().await, Heard::Anew);

    operator.set_policy(one, &Policy::default()).await.unwrap();
    assert_eq!(ear.next().await, Heard::Change(one));
    for on in [true, false] {
        operator.set_suspended(other, on).await.unwrap();
        assert_eq!(ear.next().await, Heard::Change(other));
    }
    let switch = Switch::read(Scope::User, "ann").unwrap();
    assert!(operator.turn_on(one, &switch, None).await.unwrap());
    assert_eq!(ear.next().await, Heard::Change(one));
    // It is on already, and so nothing changes.
    assert!(operator.turn_on(one, &switch, None).await.unwrap());
    operator.turn_off(one, &switch).await.unwrap();
    assert_eq!(ear.next().await, Heard::Change(one));
    operator.turn_off(one, &switch).await.unwrap();

    // What anybody else in the database says on that channel, or on another, is no change.
    let admin = database.connect().await.unwrap();
    for noise in ["notify tollgate_policy", "notify tollgate_policy, 'x'", "notify other, 'x'"] {
        admin.batch_execute(noise).await.unwrap();
    }
    operator.set_suspended(other, true).await.unwrap();
    assert_eq!(ear.next().await, Heard::Change(other));
    assert!(ear.heard.try_recv().is_err());
}

#[tokio::test]
async fn a_connection_that_is_lost_is_made_anew_and_everything_counts_as_changed() {
    let database = testing::database().await.unwrap();
    let admin = database.connect().await.unwrap();
    let operator = Operator::new(Pool::connect(config(&database, 2)).unwrap());
    let one = organization(&operator).await;
    let mut ear = Ear::of(&database);
    for _ in 0..3 {
        ear.anew().await;
        assert!(!admin.query(END_LISTENERS, &[]).await.unwrap().is_empty());
        // Perhaps nobody hears of this by a notice.
        operator.set_suspended(one, true).await.unwrap();
    }
    ear.anew().await;
    operator.set_suspended(one, false).await.unwrap();
    assert_eq!(ear.next().await, Heard::Change(one));
}

#[tokio::test]
async fn a_database_that_is_not_there_yet_is_waited_for() {
    let database = testing::database().await.unwrap();
    let admin = testing::cluster().await.unwrap().config("postgres");
    let (admin, connection) = admin.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    let closed = |on| format!("alter database {} allow_connections {on}", database.name());
    admin.batch_execute(&closed(false)).await.unwrap();
    let mut ear = Ear::of(&database);
    let refused = timeout(Duration::from_millis(500), ear.heard.recv()).await;
    assert!(refused.is_err(), "{refused:?}");
    admin.batch_execute(&closed(true)).await.unwrap();
    assert_eq!(ear.next().await, Heard::Anew);
}

/// Passes connections on until they are frozen: then nothing moves on them any more, and nobody is told. Says when
/// a connection is made.
struct Network {
    folder: PathBuf,
    freeze: Arc<Notify>,
    made: mpsc::Receiver<()>,
}

impl Network {
    fn before(server: PathBuf) -> Self {
        let folder = PathBuf::from(format!("/tmp/tollgate-net-{}", Uuid::new_v4().simple()));
        std::fs::create_dir(&folder).unwrap();
        let listener = UnixListener::bind(folder.join(".s.PGSQL.5432")).unwrap();
        let freeze = Arc::new(Notify::new());
        let frozen = Arc::clone(&freeze);
        let (tell, made) = mpsc::channel(10);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tell.send(()).await.unwrap();
                let mut server = UnixStream::connect(server.join(".s.PGSQL.5432")).await.unwrap();
                let frozen = Arc::clone(&frozen);
                tokio::spawn(async move {
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        () = frozen.notified() => std::future::pending().await,
                    }
                });
            }
        });
        Self { folder, freeze, made }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

#[tokio::test]
async fn a_network_that_swallows_everything_is_noticed_within_seconds() {
    let database = testing::database().await.unwrap();
    let mut network = Network::before(database.cluster().socket_dir().to_owned());
    let mut login = tokio_postgres::Config::new();
    login.host_path(&network.folder).port(5432).user("tollgate_login").dbname(database.name());
    let mut ear = Ear::at(login);
    assert_eq!(ear.next().await, Heard::Anew);
    network.made.recv().await.unwrap();
    // From here on only time passes, and at once: there is nobody to wait for.
    tokio::time::pause();
    let frozen = Instant::now();
    network.freeze.notify_waiters();
    network.made.recv().await.unwrap();
    let taken = frozen.elapsed();
    tokio::time::resume();
    // A question after two seconds at the most, three for its answer, and a tenth of one before the next connection.
    let seconds = Duration::from_secs;
    assert!(taken >= seconds(3) && taken < seconds(2 + 3 + 1), "{taken:?}");
    assert_eq!(ear.next().await, Heard::Anew);
}
