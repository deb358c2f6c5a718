//! A server that logs every statement, its duration and every error logs nothing of what people asked, were answered or
//! are called.

use tokio_postgres::{Client, NoTls};
use tollgate::{
    Tenant,
    domain::{
        credits::Credits,
        finish::{Finish, Record},
        ids::OrganizationId,
        role::Role,
    },
    postgres::{
        Door, DoorRole, Operator, Pool, PoolConfig, PostgresStore, Query,
        cluster::{Cluster, Options},
        migrate,
        prove::{self, Extent},
        sealing::{self, Sealing},
    },
    store::{Journal, Ledger, PolicyStore, admin::CreditAdmin},
};
use uuid::Uuid;

use super::fixture::{UNIT_PRICE, costing, hold, key};

/// Words that begin every secret here.
const SECRET: &str = "secret-of-theirs";

const SETTINGS: Query = Query::new(
    "insert into tollgate.settings (organization_id, name, value) values (tollgate.current_organization_id(), $1, $2::text::jsonb)",
    &[tokio_postgres::types::Type::TEXT, tokio_postgres::types::Type::TEXT],
);
const INVITATION: Query = Query::new(
    "insert into tollgate.invitations (organization_id, invitation_id, email, role, digest, invited_by, expires_at) \
       values (tollgate.current_organization_id(), gen_random_uuid(), $1, 'nobody', sha256('x'), 'ann', now() + interval '1 day')",
    &[tokio_postgres::types::Type::TEXT],
);

async fn connect(cluster: &Cluster) -> Client {
    let (client, connection) = cluster.config("postgres").connect(NoTls).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client
}

async fn parameters_are_found(cluster: &Cluster) -> bool {
    let proof = prove::run(&cluster.config("postgres"), Extent::Catalog).await.unwrap();
    proof.findings.iter().any(|one| one.code == "C35")
}

/// Holds, finishes and asks as a gateway does, for a person of a name of secrets; then sends what the server refuses.
async fn serve(cluster: &Cluster, seals: bool) -> usize {
    let seal = seals.then(key);
    let sealing = Sealing::Only(seal.clone().into_iter().collect());
    sealing::set(&cluster.config("postgres"), &sealing).await.unwrap();
    let admin = connect(cluster).await;
    admin.batch_execute(UNIT_PRICE).await.unwrap();
    let mut config = cluster.config("postgres");
    config.user("tollgate_login");
    let mut config = PoolConfig::new(config);
    config.seal = seal;
    let pool = Pool::connect(config).unwrap();
    let (operator, store) = (Operator::new(pool.clone()), PostgresStore::new(pool.clone()));
    let id = OrganizationId::new(Uuid::now_v7());
    assert!(operator.create_organization(id, "Acme", "UTC").await.unwrap());
    operator.grant_credits(id, Credits::from_nanos(100), None).await.unwrap();

    let ann = Tenant::new(id, &format!("{SECRET}-user")).with_role(Role::Owner);
    store.standing(&ann).await.unwrap();
    let asked = hold(10, 1);
    store.hold(&ann, asked.clone()).await.unwrap();
    let record = Record {
        request: Some(format!("{{\"prompt\": \"{SECRET}-prompt\"}}")),
        response: Some(format!("{SECRET}-answer")),
        truncated: false,
    };
    let finish = costing(asked.request_id, 5, 1);
    let finish = Finish { record: Some(record), ..Finish::clone(&finish) };
    store.finish(&ann, &finish.into()).await.unwrap();

    // What is refused, and would be quoted: a text that is no JSON, and a row that breaks a check.
    let door = Door::new(pool);
    let (name, broken) = ("canary", format!("{{\"x\": {SECRET}-json"));
    let refused = door.run(ann.claims(), DoorRole::Owner, &SETTINGS, &[&name, &broken]).await;
    assert!(refused.is_err());
    let mail = format!("{SECRET}@mail.test");
    let refused = door.run(ann.claims(), DoorRole::Owner, &INVITATION, &[&mail]).await;
    assert!(refused.is_err());

    let log = std::fs::read_to_string(cluster.socket_dir().join("server.log")).unwrap();
    assert!(log.contains("tollgate.finish") && log.contains("duration: "), "nothing was logged");
    assert!(log.contains("invitations_role_check"), "errors were not logged");
    log.matches(SECRET).count()
}

#[tokio::test]
async fn nothing_that_people_wrote_is_in_a_log_of_every_statement() {
    let settings = [
        ("log_statement", "all"),
        ("log_min_duration_statement", "0"),
        ("log_min_error_statement", "debug5"),
        ("log_error_verbosity", "verbose"),
        ("log_parameter_max_length_on_error", "-1"),
        ("log_min_messages", "info"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let mut options = Options::ephemeral();
    options.settings = settings;
    let cluster = Cluster::temporary(options).await.unwrap();
    migrate::run(&cluster.config("postgres")).await.unwrap();
    assert!(!parameters_are_found(&cluster).await);
    for seals in [false, true] {
        assert_eq!(serve(&cluster, seals).await, 0, "sealed: {seals}");
    }
    // The same server without what the migration has set: the test sees what there is to see, and the proof says so.
    let undo = "alter role tollgate_login reset log_parameter_max_length; \
        alter role tollgate_login reset log_parameter_max_length_on_error; alter role tollgate_login reset log_error_verbosity";
    connect(&cluster).await.batch_execute(undo).await.unwrap();
    assert!(parameters_are_found(&cluster).await);
    assert!(serve(&cluster, false).await > 0);
    cluster.stop().await.unwrap();
}
