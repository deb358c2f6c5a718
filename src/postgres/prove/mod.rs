//! Shows that one organization cannot reach another, on this installation, now.
//!
//! Three steps:
//! - The catalog is checked for everything that would let a role bypass row-level security.
//! - Rows of two invented organizations are inserted into every table. Every role then tries every verb on the rows of
//!   one organization with the claims of the other.
//! - Every function is called with ids of the other organization.
//!
//! Where claims must be sealed, all of this is done with sealed claims, and once more with forged ones. Everything
//! happens in one transaction that is rolled back. [`Extent::ReadOnly`] writes nothing: it checks the catalog, and reads
//! as every role for an organization that does not exist.
//!
//! An organization's own schema is proven in the same way. There the proof also checks that the schema takes no row of
//! another organization.
//!
//! Everything is read from the catalog, so a new table is proven, or reported, without a change here.
//!
#![doc = include_str!("../../../docs/isolation.md")]

mod answer;
mod catalog;
mod checks;
mod forged;
mod functions;
mod keys;
mod newer;
mod probes;
mod report;
mod roles;
mod rows;
mod tries;

use tokio_postgres::{Client, Config, Row, types::ToSql};

pub use checks::{CHECKS, Check};
pub use report::{Finding, Proof};

use super::{Seal, error, migrate, schema::Schema, sealing};
use crate::store::StoreError;

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Extent<'a> {
    /// Everything; rows are written and rolled back.
    Full,
    /// The catalog, and reading. Nothing is written.
    ReadOnly,
    /// Only the catalog.
    Catalog,
    /// Only what roles can do to this table.
    Table(&'a str),
    /// Only what functions do for the roles that may call them.
    Functions,
}

/// Proves the shared schema of the database, in a transaction of its own that leaves nothing behind.
///
/// # Errors
/// The database is unavailable, or its schema is not (yet) this program's. A failure of isolation is no error: it is
/// in the [`Proof`].
pub async fn run(config: &Config, extent: Extent<'_>) -> Result<Proof, StoreError> {
    run_in(config, &Schema::SHARED, extent, None).await
}

/// As [`run`], for any of our schemas. The seal of a gateway is for a user who may not read the keys, where claims
/// must be sealed.
///
/// # Errors
/// As [`run`].
pub async fn run_in(
    config: &Config,
    schema: &Schema,
    extent: Extent<'_>,
    seal: Option<&Seal>,
) -> Result<Proof, StoreError> {
    let client = migrate::connect(config.clone()).await?;
    let begin = if extent == Extent::ReadOnly {
        "begin isolation level repeatable read, read only"
    } else {
        "begin"
    };
    execute(&client, begin).await?;
    let proof = within_with(&client, schema, extent, seal).await;
    execute(&client, "rollback").await?;
    proof
}

/// As [`run_in`], in the transaction that is open on `client`, which must be rolled back afterwards.
///
/// # Errors
/// As [`run`].
pub async fn within(
    client: &Client,
    schema: &Schema,
    extent: Extent<'_>,
) -> Result<Proof, StoreError> {
    within_with(client, schema, extent, None).await
}

async fn within_with(
    client: &Client,
    schema: &Schema,
    extent: Extent<'_>,
    seal: Option<&Seal>,
) -> Result<Proof, StoreError> {
    let ground = Ground { client, schema };
    ground.execute(include_str!("../sql/statements/prove/prepare.sql")).await?;
    let mut proof = Proof::default();
    if !matches!(extent, Extent::Table(_) | Extent::Functions) {
        catalog::check(&ground, &mut proof).await?;
    }
    let seal = match (extent, sealing::is_on_within(client, schema).await?) {
        (Extent::Catalog, _) => None,
        (_, false) => {
            proof.unchecked("sealed claims are off");
            None
        }
        (_, true) => {
            let Some(seal) = sealing::kept_within(client, schema).await?.or_else(|| seal.cloned())
            else {
                proof.unchecked(
                    "what roles and functions do: claims must be sealed, and this user has no key",
                );
                return Ok(proof);
            };
            proof.claims_were_forged();
            Some(seal)
        }
    };
    match extent {
        Extent::Catalog => {}
        Extent::ReadOnly => probes::read(&ground, seal.as_ref(), &mut proof).await?,
        Extent::Full | Extent::Table(_) | Extent::Functions => {
            let only = if let Extent::Table(table) = extent { Some(table) } else { None };
            if let Some(canaries) = rows::plant(&ground, seal, &mut proof).await? {
                if extent != Extent::Functions {
                    probes::run(&ground, &canaries, only, &mut proof).await?;
                }
                if only.is_none() {
                    functions::run(&ground, &canaries, &mut proof).await?;
                }
            }
        }
    }
    Ok(proof)
}

/// What is being proven: a schema, over a connection.
#[derive(Clone, Copy)]
struct Ground<'a> {
    client: &'a Client,
    schema: &'a Schema,
}

impl Ground<'_> {
    /// A table of the schema, as SQL takes it.
    fn table(&self, name: &str) -> String {
        format!("{}.{}", self.schema, ident(name))
    }

    /// Executes a text of the program, rewritten for this schema.
    async fn execute(&self, sql: &str) -> Result<(), StoreError> {
        execute(self.client, &self.schema.read(sql)).await
    }

    /// The rows of a query of the program, rewritten for this schema.
    async fn query(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        let rows = self.client.query(&*self.schema.read(sql), parameters).await;
        rows.map_err(|error| error::failed(&error))
    }

    /// The one row of such a query.
    async fn query_one(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, StoreError> {
        let row = self.client.query_one(&*self.schema.read(sql), parameters).await;
        row.map_err(|error| error::failed(&error))
    }
}

async fn execute(client: &Client, sql: &str) -> Result<(), StoreError> {
    client.batch_execute(sql).await.map_err(|error| error::failed(&error))
}

/// A name as SQL takes it.
fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL takes it.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
