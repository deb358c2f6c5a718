//! Expires overdue holds in every place.

use std::{
    fmt,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::PostgresStore;
use crate::{domain::ids::OrganizationId, postgres::one_schema::OneSchema, store::StoreError};

/// The most schemas that one sweep visits. There may be many, and every replica sweeps.
const SCHEMAS_MAX: usize = 64;
/// The maximum age of the known directory. So the holds of an organization are swept here even if the only gateway that
/// served it has died.
const READ_EVERY: Duration = Duration::from_mins(1);

/// Which schemas the next sweep visits, and when the directory was last read.
#[derive(Default)]
pub(super) struct Turns(Mutex<Turn>);

#[derive(Default)]
struct Turn {
    /// The schema that was swept last.
    after: Option<OrganizationId>,
    read: Option<Instant>,
}

impl PostgresStore {
    /// Expires overdue holds of all organizations, and returns how many: in the shared tables, in all further databases
    /// and in some of the schemas. The next sweep visits the next schemas. Any number of processes may sweep at once.
    ///
    /// A place that is unavailable is logged; the others are swept all the same. If the server reports an error for an
    /// organization, such as a lock time-out on its balance, the error is logged and the organization is left to the
    /// next sweep.
    ///
    /// # Errors
    /// The main database is unavailable.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        let mut expired = self.main().sweep().await?;
        if self.turns().must_read() {
            self.read().await?;
        }
        let further = self.further().iter().map(|(name, store)| (name.clone(), store.clone()));
        let schemas = self.turns().next(self.schemas().into_iter().collect());
        let schemas =
            schemas.into_iter().map(|(_, store)| (store.pool().schema().to_string(), store));
        for (place, store) in further.chain(schemas) {
            match store.sweep().await {
                Ok(some) => expired = expired.saturating_add(some),
                Err(error) => {
                    tracing::warn!(place, %error, "overdue holds of one place could not be expired");
                }
            }
        }
        Ok(expired)
    }

    /// Expires all overdue holds of one organization, and returns how many.
    ///
    /// # Errors
    /// The organization's place is unavailable.
    pub async fn expire(&self, organization: OrganizationId) -> Result<u64, StoreError> {
        let expired = self.ask(organization, move |schema| {
            Box::pin(async move { schema.expire(organization).await })
        });
        expired.await
    }
}

impl Turns {
    fn must_read(&self) -> bool {
        let mut turn = self.0.lock();
        let must = turn.read.is_none_or(|read| read.elapsed() >= READ_EVERY);
        if must {
            turn.read = Some(Instant::now());
        }
        must
    }

    /// The schemas after the one that was swept last, then those from the first on.
    fn next(
        &self,
        mut schemas: Vec<(OrganizationId, OneSchema)>,
    ) -> Vec<(OrganizationId, OneSchema)> {
        let mut turn = self.0.lock();
        let behind = schemas.partition_point(|(id, _)| turn.after.is_some_and(|last| *id <= last));
        schemas.rotate_left(behind);
        schemas.truncate(SCHEMAS_MAX);
        turn.after = schemas.last().map(|(id, _)| *id);
        schemas
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turns")
    }
}
