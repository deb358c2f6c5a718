//! All places of an installation, for commands: the main database, the schemas of organizations in it, and further
//! databases.

use std::time::Duration;

use super::{
    addresses::Addresses,
    config::Config,
    database::{DatabaseError, parse},
};
use crate::{
    postgres::{
        Operator, Pool, PoolConfig, PostgresStore, Schema, Seal,
        membership::{self, Membership},
        migrate::{self, Status},
        prove::{self, Extent, Proof},
        sealing::{self, Sealing, SealingError},
    },
    store::{StoreError, coalesce::Options},
};

/// The name of the main database among the places.
pub(crate) const MAIN: &str = "main";

/// The operator of these databases. The main database must be up to date.
///
/// If the database demands sealed claims, the key is the one that the main database keeps. If this user may not read
/// that key, it is the key of the configuration `named`.
pub(crate) async fn operator(
    addresses: &Addresses,
    named: Option<&Config>,
) -> Result<Operator, DatabaseError> {
    let main = parse(&addresses.main)?;
    let seal = seal(&main, named).await?;
    let pool = |database: tokio_postgres::Config| {
        let mut bounds = PoolConfig::new(database);
        // Reading all books takes longer than the statement time-out of calls.
        bounds.statement_max = Duration::from_mins(5);
        bounds.connections_max = 4;
        bounds.seal.clone_from(&seal);
        Ok::<_, DatabaseError>(Pool::connect(bounds)?)
    };
    let mut further = Vec::new();
    for (name, url) in &addresses.placements {
        further.push((name.clone(), pool(parse(url)?)?));
    }
    let (wait_max, options) = (PostgresStore::WAIT_MAX, Options::default());
    Ok(Operator::over(PostgresStore::across(pool(main)?, further, wait_max, options)))
}

/// The operator's seal for a main database that must be up to date. None if the database demands no seals.
async fn seal(
    main: &tokio_postgres::Config,
    named: Option<&Config>,
) -> Result<Option<Seal>, DatabaseError> {
    let pool = Pool::connect(PoolConfig::new(main.clone()))?;
    if let Status::Missing(migrations) = migrate::status(&pool).await? {
        return Err(DatabaseError::Behind(migrations));
    }
    if !sealing::is_on(&pool).await? {
        return Ok(None);
    }
    if let Some(kept) = sealing::kept(main).await? {
        return Ok(Some(kept));
    }
    match named.map(Config::seal).transpose()?.flatten() {
        Some(seal) => Ok(Some(seal)),
        None => Err(SealingError::NoOperatorKey.into()),
    }
}

/// How many migrations each place lacked, the main database first.
pub(crate) type Applied = Vec<(String, usize)>;

/// Brings every place to this program's schema.
///
/// The source of memberships stays as it was, unless one is named; further databases always read our own table. Sealing
/// stays as it was, unless `sealing` changes it, and is the same in every place as in the main database.
pub(crate) async fn migrate(
    addresses: &Addresses,
    named: Option<&Config>,
    membership: Option<Membership>,
    sealing: Option<&Sealing>,
) -> Result<Applied, DatabaseError> {
    let main = parse(&addresses.main)?;
    let mut applied = vec![(MAIN.to_owned(), migrate::run(&main).await?)];
    let schemas = migrate::own_schemas(&main).await?;
    for schema in &schemas {
        let some = migrate::run_in(&main, schema).await.map_err(at(schema.name()))?;
        applied.push((schema.to_string(), some));
    }
    if let Some(source) = membership {
        for schema in std::iter::once(&Schema::SHARED).chain(&schemas) {
            membership::read_in(&main, schema, source).await?;
        }
    }
    if let Some(sealing) = sealing {
        sealing::set(&main, sealing).await?;
    }
    for schema in &schemas {
        sealing::as_in(&main, &main, schema).await.map_err(at(schema.name()))?;
    }
    for (name, url) in &addresses.placements {
        let further = parse(url)?;
        let some = migrate::run(&further).await.map_err(at(name))?;
        sealing::as_in(&main, &further, &Schema::SHARED).await.map_err(at(name))?;
        applied.push((name.clone(), some));
    }
    operator(addresses, named).await?.places().copy_prices().await?;
    Ok(applied)
}

/// Proves for each place that organizations are isolated, the main database first. Every place must be up to date.
/// Seals are as in [`operator`].
pub(crate) async fn prove(
    addresses: &Addresses,
    named: Option<&Config>,
    extent: Extent<'_>,
) -> Result<Vec<(String, Proof)>, DatabaseError> {
    let places = operator(addresses, named).await?.places().clone();
    let main = parse(&addresses.main)?;
    let seal = seal(&main, named).await?;
    let prove = async |database: &tokio_postgres::Config, schema: &Schema| {
        prove::run_in(database, schema, extent, seal.as_ref()).await
    };
    let mut proofs = vec![(MAIN.to_owned(), prove(&main, &Schema::SHARED).await?)];
    for schema in migrate::own_schemas(&main).await? {
        let proof = prove(&main, &schema).await.map_err(at(schema.name()))?;
        proofs.push((schema.to_string(), proof));
    }
    for (name, url) in &addresses.placements {
        let proof = prove(&parse(url)?, &Schema::SHARED).await.map_err(at(name))?;
        proofs.push((name.clone(), proof));
    }
    for (name, proof) in &mut proofs {
        places.prove_strays(name, proof).await.map_err(at(name))?;
    }
    Ok(proofs)
}

/// Adds the name of the place to an error.
fn at(place: &str) -> impl Fn(StoreError) -> DatabaseError {
    move |error| DatabaseError::Place { place: place.to_owned(), error: Box::new(error.into()) }
}
