//! A main database, and further ones in another cluster.

use std::time::Duration;

use tokio_postgres::{Client, Config, NoTls};
use tollgate::{
    domain::ids::OrganizationId,
    postgres::{
        Operator, Place, Pool, PoolConfig, PostgresStore, Schema,
        cluster::testing,
        places::{Mover, Step},
    },
    store::coalesce::Options,
};
use uuid::Uuid;

use super::harness::House;

/// The name of the further database.
pub(crate) const FAR: &str = "far";

/// A fresh database with the schema in the second cluster of this process.
pub(crate) async fn far_database() -> Config {
    testing::database_elsewhere().await.unwrap().config()
}

/// The store in these databases, as commands use it.
pub(crate) fn store_across(
    main: Pool,
    databases: impl IntoIterator<Item = (String, Pool)>,
) -> PostgresStore {
    PostgresStore::across(main, databases, PostgresStore::WAIT_MAX, Options::default())
}

pub(crate) async fn connect(config: &Config) -> Client {
    let mut config = config.clone();
    // Transactions that tests leave open stay open, however busy the machine is.
    config.options("-c jit=off -c idle_in_transaction_session_timeout=0");
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client
}

/// The address of a database in a cluster of ours, as this user.
pub(crate) fn url_of(config: &Config, user: &str) -> String {
    let [tokio_postgres::config::Host::Unix(socket)] = config.get_hosts() else { panic!() };
    let socket = socket.display().to_string().replace('/', "%2F");
    format!("postgres://{user}@{socket}:5432/{}", config.get_dbname().unwrap())
}

pub(crate) fn pool(config: &Config) -> Pool {
    let mut bounds = PoolConfig::new(config.clone());
    (bounds.connections_max, bounds.wait_max) = (8, Duration::from_secs(30));
    Pool::connect(bounds).unwrap()
}

pub(crate) fn far() -> Place {
    Place::Database(FAR.to_owned())
}

/// How many rows an organization has in a place, its own among them.
pub(crate) async fn rows_in(client: &Client, schema: &Schema, id: OrganizationId) -> i64 {
    let sql = "select to_regnamespace($1) is null";
    if client.query_one(sql, &[&schema.name()]).await.unwrap().get(0) {
        return 0;
    }
    let sql = format!(
        "select coalesce((select sum(rows)::bigint from {schema}.rows_here($1)), 0) + (select count(*) from {schema}.organizations where organization_id = $1)"
    );
    client.query_one(&sql, &[&id.as_uuid()]).await.unwrap().get(0)
}

/// As [`rows_in`], of a house.
pub(crate) async fn rows(house: &House, id: OrganizationId, place: &Place) -> i64 {
    let config = if *place == far() { &house.setup.placements[0].1 } else { &house.database };
    rows_in(&connect(config).await, &place.schema(id), id).await
}

/// The places, as their administrator and as the gateway's login.
pub(crate) struct Street {
    pub(crate) main: Config,
    pub(crate) far: Config,
}

impl Street {
    pub(crate) async fn open() -> Self {
        let main = testing::database().await.unwrap().config();
        Self { main, far: far_database().await }
    }

    pub(crate) fn places_as(&self, user: Option<&str>) -> PostgresStore {
        let [main, far] = [&self.main, &self.far].map(|config| {
            let mut config = config.clone();
            user.map(|user| config.user(user));
            pool(&config)
        });
        store_across(main, [(FAR.to_owned(), far)])
    }

    pub(crate) fn mover(&self) -> Mover {
        Mover::new(self.places_as(None)).telling(|step: Step| eprintln!("{step}"))
    }

    pub(crate) fn operator(&self) -> Operator {
        Operator::over(self.places_as(None))
    }

    /// A connection to where a place is, and the schema there.
    pub(crate) async fn look(&self, id: OrganizationId, place: &Place) -> (Client, Schema) {
        let config = if *place == far() { &self.far } else { &self.main };
        (connect(config).await, place.schema(id))
    }

    /// An organization in the shared tables, with a row in every table.
    pub(crate) async fn resident(&self) -> OrganizationId {
        let id = OrganizationId::new(Uuid::now_v7());
        let sql = include_str!("../stores/canaries.sql")
            .replace(":organization", &format!("'{id}'::uuid"));
        connect(&self.main).await.batch_execute(&sql).await.unwrap();
        id
    }
}
