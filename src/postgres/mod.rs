//! The store traits on Postgres: pool, claims, migrations, and a private cluster for development and tests.

pub mod cluster;
