//! All places of an installation, as the commands see them: the main database, the schemas of organizations in it,
//! and further databases.

use std::time::Duration;

use super::{
    addresses::Addresses,
    config::Config,
    database::{DatabaseError, parse},
};
use crate::{
    postgres::{
        Operator, Places, Pool, PoolConfig, Schema, Seal,
        membership::{self, Membership},
        migrate::{self, Status},
        prove::{self, Proof, Scope},
        sealing::{self, Sealing, SealingError},
    },
    store::StoreError,
};

/// What the main database is called among the places.
pub(crate) const MAIN: &str = "main";

/// The operator's side of these databases, of which the main one must be up to date. Where claims must be sealed,
/// with a key that the main database keeps, if this user may read it, else with that of `named`.
pub(crate) async fn operator(
    addresses: &Addresses,
    named: Option<&Config>,
) -> Result<Operator, DatabaseError> {
    let main = parse(&addresses.main)?;
    let seal = seal(&main, named).await?;
    let pool = |database: tokio_postgres::Config| {
        let mut bounds = PoolConfig::new(database);
        // Reading all books takes longer than a call may.
        bounds.statement_max = Duration::from_mins(5);
        bounds.connections_max = 4;
        bounds.seal.clone_from(&seal);
        Ok::<_, DatabaseError>(Pool::connect(bounds)?)
    };
    let mut further = Vec::new();
    for (name, url) in &addresses.placements {
        further.push((name.clone(), pool(parse(url)?)?));
    }
    Ok(Operator::over(Places::new(pool(main)?, further, Places::WAIT_MAX)))
}

/// The seal of an operator in a main database that is up to date; none where none is asked for.
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

/// Brings every place to this program's schema. Memberships are read from where they were, unless a source is
/// named; in further databases from our own table always. Seals are asked for as they were, unless it is said how, and
/// everywhere as in the main database.
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

/// Whether organizations are apart in each place, which must be up to date; the main database first. Seals as in
/// [`operator`].
pub(crate) async fn prove(
    addresses: &Addresses,
    named: Option<&Config>,
    scope: Scope<'_>,
) -> Result<Vec<(String, Proof)>, DatabaseError> {
    let places = operator(addresses, named).await?.places().clone();
    let main = parse(&addresses.main)?;
    let seal = seal(&main, named).await?;
    let prove = async |database: &tokio_postgres::Config, schema: &Schema| {
        prove::run_in(database, schema, scope, seal.as_ref()).await
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

/// Says which place it was.
fn at(place: &str) -> impl Fn(StoreError) -> DatabaseError {
    move |error| DatabaseError::Place { place: place.to_owned(), error: Box::new(error.into()) }
}
