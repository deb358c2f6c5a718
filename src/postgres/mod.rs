//! The store traits on Postgres: pool, claims, migrations, and a private cluster for development and tests.
//!
//! Each statement of the request path calls one SQL function, which puts the claims into force itself:
//! [`Pool::call`], [`Pool::rows_durable`]. Every other statement about an organization's rows goes through the
//! [`Door`]. Both ways take [`Query`]s, whose texts are part of the program, and need one round trip. If the
//! database accepts only sealed claims ([`sealing`]), both ways seal the claims with the pool's [`Seal`].

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
mod one_schema;
pub mod places;
mod policies;
mod pool;
mod prices;
pub mod prove;
mod query;
mod rows;
mod schema;
mod seal;
pub mod sealing;
mod switches;
mod timeline;
mod tls;

pub use admin::Operator;
pub use config::{PoolConfig, Prepared};
pub use door::{Door, DoorRole, Step};
pub use error::PostgresError;
pub use places::{Place, PostgresStore};
pub use pool::Pool;
pub use query::{Parameter, Query};
pub use schema::Schema;
pub use seal::{NotASealKey, Seal, Sealed};
