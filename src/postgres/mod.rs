//! The store traits on Postgres: pool, claims, migrations, and a private cluster for development and tests.
//!
//! Statements of the request path are single functions that put the claims into force themselves:
//! [`Pool::call`], [`Pool::rows_durable`]. Everything else that reads or writes an organization's rows goes
//! through the [`Door`]. Both take [`Statement`]s, which are part of the program, and need one round trip. Where the
//! database takes sealed claims only ([`sealing`]), the pool has the [`Seal`] that both put on.

mod admin;
pub mod cluster;
mod config;
mod declared;
mod door;
mod error;
mod expiry;
mod hosts;
mod journal;
mod lease;
mod ledger;
pub mod listen;
pub mod login;
pub mod membership;
pub mod migrate;
pub mod places;
mod policies;
mod pool;
mod prices;
pub mod prove;
mod rows;
mod schema;
mod seal;
pub mod sealing;
mod statement;
mod store;
mod switches;
mod timeline;
mod tls;

pub use admin::Operator;
pub use config::{PoolConfig, Prepared};
pub use door::{Door, DoorRole, Step};
pub use error::PostgresError;
pub use places::{Place, Places};
pub use pool::Pool;
pub use schema::Schema;
pub use seal::{NotASealKey, Seal, Sealed};
pub use statement::{Parameter, Statement};
pub use store::PostgresStore;
