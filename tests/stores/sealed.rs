//! Claims that a gateway has sealed, and forged claims.

use serde_json::{Value, json};
use tokio_postgres::{Client, Row, error::SqlState, types::Type};
use tollgate::{
    Tenant,
    domain::role::Role,
    postgres::{
        Door, DoorRole, Parameter, Pool, PostgresError, PostgresStore, Prepared, Query, Seal, Step,
        sealing::{self, Sealing, SealingError},
    },
    store::{Journal, Ledger, PolicyStore, StoreError},
};

use super::{
    fixture::{Fixture, On, Postgres, Sealed, bounds, costing, hold, key, unheld},
    logs,
};

const INVALID: SqlState = SqlState::INVALID_AUTHORIZATION_SPECIFICATION;

/// What a person's search becomes where somebody pasted the words for it into the statement: `$1` stands for what
/// was injected beside them.
const INJECTED: Query = Query::new(
    "select organization_id::text from tollgate.usage, (select set_config('request.jwt.claims', $1, true)) as injected",
    &[Type::TEXT],
);
/// One statement was injected into, and the next ones of the transaction are the program's own.
const POISON: Query =
    Query::new("select set_config('request.jwt.claims', $1, true)", &[Type::TEXT]);
const UPDATE: Query =
    Query::new("update tollgate.settings set value = '2' returning organization_id::text", &[]);
const BALANCES: Query =
    Query::new("select organization_id::text from tollgate.credit_balances", &[]);
const UNROLE: Query = Query::new("select set_config('role', 'none', true)", &[]);
const REROLE: Query = Query::new("select set_config('role', 'tollgate_owner', true)", &[]);
const STANDING: Query =
    Query::new("select suspended from tollgate.standing($1, $2)", &[Type::UUID, Type::TEXT]);

fn code(error: &StoreError) -> Option<&SqlState> {
    PostgresError::of(error)?.code()
}

fn other_key() -> Seal {
    Seal::new(b"the key of nobody in particular, 2").unwrap()
}

/// An organization with a row that its owner sees and one that its owner may change.
async fn settled<const SEALED: bool>(f: &On<SEALED>) -> Tenant {
    let owner = f.organization(100).await.with_role(Role::Owner);
    f.store.finish(&owner, &unheld(hold(0, 0).request_id)).await.unwrap();
    let admin = f.database.connect().await.unwrap();
    let sql = "insert into tollgate.settings (organization_id, name, value) values ($1, 'x', '1')";
    admin.execute(sql, &[&owner.organization_id().as_uuid()]).await.unwrap();
    owner
}

/// Everything that an injection can be: what it answers with, by the organizations it names.
async fn inject<const SEALED: bool>(
    f: &On<SEALED>,
    own: &Tenant,
    claims: &str,
) -> Vec<Result<Vec<String>, StoreError>> {
    let door = Door::new(f.store.pool().clone());
    let injected: [Parameter<'_>; 1] = [&claims];
    let steps = [Step::new(&POISON, &injected), Step::new(&UPDATE, &[])];
    let once = door.run(own.claims(), DoorRole::Owner, &INJECTED, &injected).await;
    let poisoned = door.run_all(own.claims(), DoorRole::Owner, &steps).await;
    let poisoned = poisoned.map(|mut answers| answers.pop().unwrap());
    let named = |rows: Vec<Row>| rows.iter().map(|row| row.get(0)).collect();
    vec![once.map(named), poisoned.map(named)]
}

/// The role given up by one injected statement, and a function of the gateway called by the next.
async fn call_as_the_gateway<const SEALED: bool>(
    f: &On<SEALED>,
    own: &Tenant,
    other: &Tenant,
    claims: &str,
) -> Result<usize, StoreError> {
    let door = Door::new(f.store.pool().clone());
    let parameters: [Parameter<'_>; 2] = [&other.organization_id().as_uuid(), &claims];
    // Taken again, so that the door closes as it would.
    let steps =
        [Step::new(&UNROLE, &[]), Step::new(&STANDING, &parameters), Step::new(&REROLE, &[])];
    let answers = door.run_all(own.claims(), DoorRole::Owner, &steps).await?;
    Ok(answers[1].len())
}

async fn values(client: &Client, of: &Tenant) -> i64 {
    let sql = "select count(*) from tollgate.settings where organization_id = $1 and value = '2'";
    client.query_one(sql, &[&of.organization_id().as_uuid()]).await.unwrap().get(0)
}

/// Milliseconds since the Unix epoch, by the database's clock.
async fn now(client: &Client) -> i64 {
    let sql = "select (extract(epoch from clock_timestamp()) * 1000)::bigint";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn without_seals_injected_sql_switches_the_organization() {
    // What the other tests are against: if this fails, they show nothing.
    let f = Postgres::start().await;
    let (own, other) = (settled(&f).await, settled(&f).await);
    let admin = f.database.connect().await.unwrap();
    let theirs = other.organization_id().to_string();
    for answer in inject(&f, &own, other.claims()).await {
        assert_eq!(answer.unwrap(), [theirs.as_str()]);
    }
    assert_eq!(values(&admin, &other).await, 1);
    assert_eq!(call_as_the_gateway(&f, &own, &other, other.claims()).await.unwrap(), 1);
}

#[tokio::test]
async fn with_seals_injected_sql_is_refused_and_sees_and_changes_nothing() {
    let f = Sealed::start().await;
    let (own, other) = (settled(&f).await, settled(&f).await);
    let admin = f.database.connect().await.unwrap();
    let then = now(&admin).await;
    let genuine = key().seal(own.claims(), then);
    let (seal, _) = genuine.split_at(r#"{"tollgate_seal":""#.len() + 26 + 64 + 1);
    let members = other.claims().trim_start_matches('{');
    // The pads are in the seal's place where a forger would like them to be: the position alone says nothing.
    let mut misplaced = other.claims().to_owned();
    misplaced.insert_str(1, r#""tollgate_seal":"","#);
    let forged = [
        other.claims().to_owned(),
        other_key().seal(other.claims(), then),
        other_key().seal(other.claims(), then).replace(other_key().key_id(), key().key_id()),
        key().seal(other.claims(), then - 61_000),
        key().seal(other.claims(), then + 600_000),
        format!("{seal},{members}"),
        format!("{seal}, {members}"),
        genuine.replace(&own.organization_id().to_string(), &other.organization_id().to_string()),
        // Not a hexadecimal digit, not a number, not even claims.
        genuine.replace("\"v1.", "\"v2."),
        format!("{}{}", &genuine[..50], "é".repeat(100)),
        format!(r#"{{"tollgate_seal":"v1.{}.""#, key().key_id()),
        misplaced,
        "{".to_owned(),
        "null".to_owned(),
    ];
    for claims in &forged {
        for answer in inject(&f, &own, claims).await {
            let refused = answer.unwrap_err();
            assert_eq!(code(&refused), Some(&INVALID), "{claims}: {refused:?}");
            assert!(refused.to_string().len() < 200 && !refused.to_string().contains("ann"));
        }
        let refused = call_as_the_gateway(&f, &own, &other, claims).await.unwrap_err();
        assert_eq!(code(&refused), Some(&INVALID), "{claims}: {refused:?}");
    }
    assert_eq!((values(&admin, &other).await, values(&admin, &own).await), (0, 0));

    // Its own claims it may set as often as it likes, and no claims are nobody's.
    let mine = own.organization_id().to_string();
    for answer in inject(&f, &own, &genuine).await {
        assert_eq!(answer.unwrap(), [mine.as_str()]);
    }
    for answer in inject(&f, &own, "").await {
        assert_eq!(answer.unwrap(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_role_that_the_claims_do_not_give_is_not_gained_by_injecting_it() {
    let f = Sealed::start().await;
    let viewer = f.organization(100).await.with_role(Role::Viewer);
    let door = Door::new(f.store.pool().clone());
    for role in [Role::Owner, Role::Platform] {
        let raised = viewer.clone().with_role(role);
        let injected: [Parameter<'_>; 1] = [&raised.claims()];
        let steps = [Step::new(&POISON, &injected), Step::new(&BALANCES, &[])];
        let refused = door.run_all(viewer.claims(), role.into(), &steps).await;
        assert_eq!(code(&refused.unwrap_err()), Some(&INVALID), "{role}");
        // As it is, the role is the database's and not the claims': nothing is seen.
        let seen = door.run(viewer.claims(), role.into(), &BALANCES, &[]).await;
        assert!(seen.unwrap().is_empty(), "{role}");
    }
}

#[tokio::test]
async fn a_seal_is_good_for_a_minute_and_from_clocks_that_are_not_far_apart() {
    let f = Sealed::start().await;
    let ann = f.organization(0).await;
    let login = f.database.connect().await.unwrap();
    login.batch_execute("set session authorization tollgate_login").await.unwrap();
    for (clock_ahead, good) in [
        (-61_000, false),
        // Half a minute is left, on whatever machine.
        (-30_000, true),
        (0, true),
        (230_000, true),
        // Five minutes from now it would still be good, and is for half a minute more.
        (270_000, false),
        (i64::MAX / 2, false),
    ] {
        let then = now(&login).await.saturating_add(clock_ahead);
        let claims = key().seal(ann.claims(), then);
        let sql = "select suspended from tollgate.standing($1, $2)";
        let answer = login.query(sql, &[&ann.organization_id().as_uuid(), &claims]).await;
        assert_eq!(answer.is_ok(), good, "{clock_ahead}: {answer:?}");
        if let Err(refused) = answer {
            assert_eq!(refused.code(), Some(&INVALID));
        }
    }
}

#[tokio::test]
async fn what_is_replayed_after_its_time_is_refused_on_every_way_in() {
    let f = Sealed::start().await;
    let ann = settled(&f).await;
    let client = f.database.connect().await.unwrap();
    let kept = key().seal(ann.claims(), now(&client).await - 60_001);
    for answer in inject(&f, &ann, &kept).await {
        assert_eq!(code(&answer.unwrap_err()), Some(&INVALID));
    }
    let replayed = call_as_the_gateway(&f, &ann, &ann, &kept).await;
    assert_eq!(code(&replayed.unwrap_err()), Some(&INVALID));
}

#[tokio::test]
async fn the_database_reads_under_a_seal_exactly_what_was_sealed() {
    let f = Sealed::start().await;
    let client = f.database.connect().await.unwrap();
    let then = now(&client).await;
    for claims in [
        json!({}),
        json!({"sub": "ann", "organization_id": "0192f0c1-2345-7890-abcd-ef0123456789"}),
        json!({"sub": "Jürgen \"the\" O'Neil \\ 日本語 🦀", "deep": {"er": [1, 2.5, null, {"a": []}]}}),
        json!({"tollgate_seal": "v1.mine", "sub": "a claim of the token that is called so"}),
        json!({"long": "walnut ".repeat(5_000)}),
    ] {
        let text = claims.to_string();
        for text in
            [text.clone(), format!(" \n{text} "), serde_json::to_string_pretty(&claims).unwrap()]
        {
            let sealed = key().seal(&text, then);
            let statement = "select tollgate.verified($1)::text";
            let read = async { client.query_one(statement, &[&sealed]).await };
            let read: String = logs::unheard(read).await.unwrap().get(0);
            assert_eq!(serde_json::from_str::<Value>(&read).unwrap(), claims);
        }
    }
}

#[tokio::test]
async fn keys_are_changed_without_a_call_that_fails() {
    let f = Sealed::start().await;
    let config = f.database.config();
    let ann = f.organization(100).await;
    let store =
        |seal: Seal| PostgresStore::new(Pool::connect(bounds(&f.database, Some(seal))).unwrap());
    let (old, new) = (&f.store, store(other_key()));
    let refused = new.standing(&ann).await.unwrap_err();
    assert_eq!(code(&refused), Some(&INVALID));

    // Both keys while gateways go from one to the other, then only the new one.
    sealing::set(&config, &Sealing::Only(vec![key(), other_key()])).await.unwrap();
    for store in [old, &new] {
        store.hold(&ann, hold(1, 1)).await.unwrap();
    }
    sealing::set(&config, &Sealing::Only(vec![other_key()])).await.unwrap();
    let (kept, wanted) = (sealing::kept(&config).await.unwrap().unwrap(), other_key());
    assert_eq!(kept.key_id(), wanted.key_id());
    assert_eq!(code(&old.standing(&ann).await.unwrap_err()), Some(&INVALID));

    // A finish whose key is gone waits until it is back: it is money.
    let request = hold(10, 1);
    new.hold(&ann, request.clone()).await.unwrap();
    let finish = costing(request.request_id, 5, 1);
    let waits = old.finish(&ann, &finish).await.unwrap_err();
    assert!(waits.is_transient(), "{waits:?}");
    // What is there stays, also when it is named again.
    for _ in 0..2 {
        sealing::set(&config, &Sealing::Also(key())).await.unwrap();
    }
    assert_eq!(old.finish(&ann, &finish).await.unwrap().charged.nanos(), 5);
    new.standing(&ann).await.unwrap();
}

#[tokio::test]
async fn open_connections_go_with_the_mode() {
    const SEEN: Query = Query::new("select count(*) from tollgate.usage", &[]);
    let f = Postgres::start().await;
    let config = f.database.config();
    let ann = settled(&f).await;
    let mut one = bounds(&f.database, None);
    one.connections_max = 1;
    let (plain, mut sealing_one) = (Pool::connect(one.clone()).unwrap(), one);
    sealing_one.seal = Some(key());
    let sealed = Pool::connect(sealing_one).unwrap();
    let works = async |pool: &Pool| {
        let seen = Door::new(pool.clone()).run(ann.claims(), DoorRole::Owner, &SEEN, &[]).await;
        let standing = PostgresStore::new(pool.clone()).standing(&ann).await;
        assert_eq!(seen.is_ok(), standing.is_ok());
        seen.is_ok_and(|rows| rows[0].get::<_, i64>(0) == 1)
    };
    for _ in 0..2 {
        // A seal that nobody asks for does no harm.
        assert!(works(&plain).await && works(&sealed).await);
        sealing::set(&config, &Sealing::Only(vec![key()])).await.unwrap();
        assert!(!works(&plain).await && works(&sealed).await);
        sealing::set(&config, &Sealing::Off).await.unwrap();
    }
    assert!(works(&plain).await && works(&sealed).await);
    let admin = f.database.connect().await.unwrap();
    let left = "select count(*) from tollgate.seal_keys";
    assert_eq!(admin.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn a_gateway_that_would_not_be_understood_is_told_before_it_starts() {
    let f = Postgres::start().await;
    let config = f.database.config();
    let problem = async |seal: Option<Seal>| {
        let pool = Pool::connect(bounds(&f.database, seal)).unwrap();
        sealing::check(&pool).await.err()
    };
    assert!(problem(None).await.is_none());
    let off = problem(Some(key())).await.unwrap();
    assert!(matches!(off, SealingError::Off) && off.to_string().contains("--seal-key"), "{off}");

    sealing::set(&config, &Sealing::Only(vec![key()])).await.unwrap();
    assert!(problem(Some(key())).await.is_none());
    let none = problem(None).await.unwrap();
    assert!(matches!(none, SealingError::NoKey) && none.to_string().contains("seal_key"), "{none}");
    let other = problem(Some(other_key())).await.unwrap();
    assert!(matches!(&other, SealingError::Key { .. }), "{other:?}");
    assert!(other.to_string().contains(other_key().key_id()), "{other}");

    // The database's clock is as far off as the gateway's would be.
    let admin = f.database.connect().await.unwrap();
    for (shift, seconds) in [(600, -600), (-600, 600)] {
        admin.batch_execute(&shifted("check_sealing", shift)).await.unwrap();
        admin.batch_execute(&shifted("unsealed", shift)).await.unwrap();
        let clock = problem(Some(key())).await.unwrap();
        let SealingError::Clock { seconds: told } = clock else { panic!("{clock}") };
        // By clocks that are read one after the other.
        assert!((told - seconds).abs() <= 60, "{told}");
    }
}

/// A function with another idea of the time.
fn shifted(function: &str, seconds: i64) -> String {
    format!(
        "do $shift$ begin execute regexp_replace(pg_get_functiondef('tollgate.{function}(text)'::regprocedure), \
           'epoch from statement_timestamp[^*]*\\*', 'epoch from statement_timestamp() + make_interval(secs => {seconds})) *'); end $shift$"
    )
}

#[tokio::test]
async fn nobody_reads_the_keys_but_who_verifies() {
    let f = Sealed::start().await;
    let client = f.database.connect().await.unwrap();
    for role in ["login", "owner", "admin", "member", "viewer", "platform", "ledger", "migrator"] {
        client.batch_execute(&format!("begin; set local role tollgate_{role}")).await.unwrap();
        let seen = client.query("select key_id from tollgate.seal_keys", &[]).await;
        // The migrator, whom only an administrator becomes, may become who verifies.
        assert_eq!(seen.is_ok(), role == "migrator", "{role}");
        client.batch_execute("rollback").await.unwrap();
    }
    let mut login = f.database.config();
    assert!(sealing::kept(&login).await.unwrap().is_some());
    assert!(sealing::kept(login.user("tollgate_login")).await.unwrap().is_none());
    assert!(sealing::is_on(f.store.pool()).await.unwrap());
}

#[tokio::test]
async fn seals_need_no_prepared_statements() {
    let f = Sealed::start().await;
    let mut bounds = bounds(&f.database, Some(key()));
    bounds.prepared = Prepared::Never;
    let store = PostgresStore::new(Pool::connect(bounds).unwrap());
    let ann = f.organization(100).await;
    let request = hold(10, 1);
    store.hold(&ann, request.clone()).await.unwrap();
    store.finish(&ann, &costing(request.request_id, 5, 1)).await.unwrap();
    assert_eq!(f.books(&ann).await, (95, 0, 0));
}
