//! One organization's calls end and cannot be written: its balance is locked, it is being moved, or its database takes
//! no connections. Calls of another organization go on, and the rows of the first one say what its clients got.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    sync::{Mutex, MutexGuard, watch},
};
use tollgate::{
    domain::ids::OrganizationId,
    postgres::{Place, places::Step},
};

use super::{
    harness::{Answer, Ask, Client, House, Org, RICH, Setup, cost, until},
    residence::made,
    street::{FAR, connect, far, far_database},
    walk::Walk,
};

/// More than the finishes that were once written at a time, for all organizations together.
const OPEN: usize = 600;
/// How many calls the other organization makes meanwhile, one after the other.
const OTHERS: usize = 8;

/// In front of the provider: requests pass, answers wait until the gate is opened.
struct Gate {
    url: String,
    open: watch::Sender<bool>,
}

impl Gate {
    async fn before(provider: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let open = watch::Sender::new(false);
        let opened = open.subscribe();
        tokio::spawn(async move {
            while let Ok((gateway, _)) = listener.accept().await {
                let provider = TcpStream::connect(provider.trim_start_matches("http://")).await;
                tokio::spawn(pass(gateway, provider.unwrap(), opened.clone()));
            }
        });
        Self { url, open }
    }

    fn opens(&self) {
        self.open.send_replace(true);
    }
}

async fn pass(gateway: TcpStream, provider: TcpStream, mut opened: watch::Receiver<bool>) {
    let (mut asked, mut answers) = gateway.into_split();
    let (mut answer, mut asks) = provider.into_split();
    let there = async {
        drop(copy(&mut asked, &mut asks).await);
        drop(asks.shutdown().await);
    };
    let back = async {
        let mut first = vec![0; 16 << 10];
        let read = answer.read(&mut first).await.unwrap_or(0);
        if opened.wait_for(|open| *open).await.is_ok()
            && answers.write_all(&first[..read]).await.is_ok()
        {
            drop(copy(&mut answer, &mut answers).await);
        }
        drop(answers.shutdown().await);
    };
    tokio::join!(there, back);
}

/// A gateway behind whose provider answers wait, and a further database. The guard keeps the machine from having to open
/// the calls of all these tests at once.
async fn house() -> (House, Gate, MutexGuard<'static, ()>) {
    static ALONE: Mutex<()> = Mutex::const_new(());
    let alone = ALONE.lock().await;
    let setup = Setup {
        placements: vec![(FAR.to_owned(), far_database().await)],
        // A busy machine takes its time to open so many calls.
        head_timeout: Duration::from_mins(5),
        ..Setup::default()
    };
    let mut house = House::unopened(setup).await;
    let gate = Gate::before(house.mock_url.clone()).await;
    house.mock_url.clone_from(&gate.url);
    house.start().await;
    (house, gate, alone)
}

/// So many calls of an organization that the provider has and does not answer yet. Every other one is a stream.
async fn opened(house: &House, org: &Org) -> Vec<Client> {
    let clients = join_all((0..OPEN).map(|_| house.client())).await;
    let sending = clients.into_iter().enumerate().map(async |(number, mut client)| {
        client.send(&ask(number).bytes(&org.token)).await;
        client
    });
    let clients = join_all(sending).await;
    // Each wait has a deadline, and a busy machine takes its time to open so many calls.
    for some in (0..=OPEN).step_by(50) {
        house.reached(u64::try_from(some).unwrap()).await;
    }
    clients
}

fn ask(number: usize) -> Ask {
    Ask { stream: number.is_multiple_of(2), ..Ask::chat() }
}

async fn answers(clients: Vec<Client>) -> Vec<Answer> {
    join_all(clients.into_iter().map(async |mut client| client.answer().await.unwrap())).await
}

/// The provider answers all open calls, none of which can be written. The other organization gets all its answers
/// meanwhile.
async fn others_go_on(house: &House, gate: &Gate, other: &Org, blocked: Vec<Client>) {
    gate.opens();
    let told = tokio::spawn(answers(blocked));
    for number in 0..OTHERS {
        let answer = house.ask(other, &ask(number)).await;
        assert_eq!(answer.status, 200, "{number}: {}", answer.text());
        assert!(!ask(number).stream || answer.has_end(), "{number}: {}", answer.text());
    }
    for answer in told.await.unwrap() {
        assert!(!answer.has_end(), "{}", answer.text());
        assert!(answer.status == 503 || answer.ends_in_error(), "{}", answer.text());
    }
    let last = house.ask(other, &ask(1)).await;
    assert_eq!(last.status, 200, "{}", last.text());
}

/// Each call is paid once. The rows of the organization that was blocked say that its answers were withheld.
async fn rows_say_so(house: &House, blocked: OrganizationId, other: &Org) {
    until("all is written", async || house.rows().await.len() == OPEN + OTHERS + 1).await;
    let rows = house.check().await;
    for row in &rows {
        assert_eq!((row.charged, row.debt), (cost(&row.served), 0), "{row:?}");
        let withheld = row.organization == blocked.as_uuid();
        let expected = match (withheld, row.stream) {
            (false, _) => ("complete", 200),
            (true, false) => ("failed", 503),
            // The head of a stream is out before its end is withheld.
            (true, true) => ("failed", 200),
        };
        assert_eq!((&*row.ending, row.status), expected, "{row:?}");
    }
    let paid = rows.iter().filter(|row| row.organization == other.id.as_uuid());
    assert_eq!(paid.clone().count(), OTHERS + 1);
    let paid: i64 = paid.map(|row| row.charged).sum();
    assert_eq!(house.balance(other).await, (RICH - paid, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_balance_costs_nobody_else_a_call() {
    let (house, gate, _alone) = house().await;
    let (locked, other) = (house.organization(RICH).await, house.organization(RICH).await);
    let open = opened(&house, &locked).await;
    let stranger = house.stranger().await;
    let sql = format!(
        "begin; select from tollgate.credit_balances where organization_id = '{}' for update",
        locked.id
    );
    stranger.batch_execute(&sql).await.unwrap();
    others_go_on(&house, &gate, &other, open).await;
    stranger.batch_execute("rollback").await.unwrap();
    rows_say_so(&house, locked.id, &other).await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_costs_nobody_else_a_call() {
    let (house, gate, _alone) = house().await;
    let (moving, other) = (house.organization(RICH).await, house.organization(RICH).await);
    let open = opened(&house, &moving).await;
    let mut walk = Walk::begin(house.places.clone(), moving.id, &Place::Schema);
    walk.reaches(Step::HeldUp).await;
    others_go_on(&house, &gate, &other, open).await;
    walk.arrives().await.unwrap();
    rows_say_so(&house, moving.id, &other).await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_takes_no_connections_costs_nobody_else_a_call() {
    let (house, gate, _alone) = house().await;
    let (gone, other) = (made(&house, &far()).await, house.organization(RICH).await);
    house.grant(&gone, RICH).await;
    let open = opened(&house, &gone).await;
    let further = &house.setup.placements[0].1;
    let name = further.get_dbname().unwrap();
    let mut beside = further.clone();
    let beside = connect(beside.dbname("postgres")).await;
    let away = async |away: bool| {
        let sql = format!("alter database \"{name}\" allow_connections {}", !away);
        beside.batch_execute(&sql).await.unwrap();
    };
    away(true).await;
    let ended = "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = $1";
    beside.query(ended, &[&name]).await.unwrap();
    others_go_on(&house, &gate, &other, open).await;
    away(false).await;
    rows_say_so(&house, gone.id, &other).await;
    house.close().await;
}
