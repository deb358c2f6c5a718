//! The first password of the gateway's login role, if no administrator has set one.

use tokio_postgres::types::Type;

use super::{Pool, PoolConfig, Query};
use crate::store::StoreError;

const KEEP: Query =
    Query::new(include_str!("sql/statements/migrate/keep_password.sql"), &[Type::TEXT]);
const GIVE: Query = Query::new(include_str!("sql/statements/migrate/first_password.sql"), &[]);

/// Gives `tollgate_login` this password if it has none. `administrator` must be allowed to read and
/// change roles.
///
/// # Errors
/// As [`Pool::rows`].
pub async fn give_first_password(
    administrator: PoolConfig,
    password: &str,
) -> Result<(), StoreError> {
    // One connection: the second statement reads a session setting that the first one writes.
    let pool = Pool::connect(PoolConfig { connections_max: 1, ..administrator })?;
    pool.rows(&KEEP, &[&password]).await?;
    pool.rows(&GIVE, &[]).await.map(drop)
}
