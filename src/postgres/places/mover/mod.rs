//! Moves an organization from one place to another while its calls go on.
//!
//! Long tables are copied first, while calls go on. Then calls are held up: writes are refused, and gateways wait and
//! retry. When all transactions from before have ended, the rest is copied and everything is compared. Then the
//! directory is changed, calls go on in the new place, and the old rows are removed.
//!
//! The write to the directory decides. Before it, a move can be undone ([`Mover::abort`]). After it, a move can only be
//! finished ([`Mover::move_to`] again, to the same place). If the program dies, the next one resumes the move. Calls
//! stay held up only if the program died while they were held up.
//!
//! Needs, in each database, a user that may become `tollgate_mover`: a member of `tollgate_migrator`. A new schema
//! needs a user that may create it. Rows are read and written under claims that name this organization only: row-level
//! security keeps a move from the rows of every other one.

mod copy;
mod ranges;
mod session;
mod steps;
mod tables;
mod wait;
mod whereabouts;

use std::{fmt, sync::Arc};

use tokio_postgres::types::Type;

use self::session::Session;
pub(super) use self::steps::rows_left;
use super::{Copied, MoveError, Place, PostgresStore, Step, Whereabouts};
use crate::{
    domain::{ids::OrganizationId, role::Role},
    postgres::{
        Pool, Query,
        door::DoorRole,
        membership::{self, Membership},
        migrate::{self, Status},
        one_schema::OneSchema,
        rows::{column, own_claims},
        sealing,
    },
};

const CREATE: Query = Query::new(
    include_str!("../../sql/statements/operate/create_organization.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT, Type::TEXT],
);
const ENLIST: Query = Query::new(
    include_str!("../../sql/statements/places/enlist.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT, Type::TEXT, Type::TEXT],
);
const DROP_SCHEMA: &str = include_str!("../../sql/statements/places/drop_schema.sql");

/// Moves organizations between these places, and creates them there. Cheap to clone.
#[derive(Clone)]
pub struct Mover {
    places: PostgresStore,
    tell: Arc<dyn Fn(Step) + Send + Sync>,
}

impl Mover {
    /// A mover between these places, which moves rows on connections of its own.
    pub fn new(places: PostgresStore) -> Self {
        Self { places, tell: Arc::new(|_| ()) }
    }

    /// Sets a callback for the progress of moves.
    #[must_use]
    pub fn telling(mut self, tell: impl Fn(Step) + Send + Sync + 'static) -> Self {
        self.tell = Arc::new(tell);
        self
    }

    /// Creates an organization with an empty balance and the default policy, in this place. Returns `false` if the
    /// organization exists already, in any place.
    ///
    /// # Errors
    /// Postgres does not know the time zone, or the place cannot be used.
    pub async fn create(
        &self,
        id: OrganizationId,
        name: &str,
        time_zone: &str,
        place: &Place,
    ) -> Result<bool, MoveError> {
        let main = self.directory(id, std::slice::from_ref(place)).await?;
        match whereabouts::in_directory(&main).await {
            Ok(_) => return Ok(false),
            Err(MoveError::UnknownOrganization) => {}
            Err(error) => return Err(error),
        }
        self.prepare(id, place).await?;
        let claims = own_claims(Some(id.as_uuid()), Some(Role::Platform.as_str()));
        let schema = self.schema(id, place)?;
        let parameters: [super::super::Parameter<'_>; 4] =
            [&id.as_uuid(), &schema.pool().sealed(&claims), &name, &time_zone];
        let created = schema.door().run(&claims, DoorRole::Platform, &CREATE, &parameters).await;
        if let Err(error) = created {
            self.forget_schema(&main, id, place).await;
            return Err(error.into());
        }
        if *place == Place::Row {
            let created = created.ok().and_then(|rows| rows.first().map(|row| column(row, 0)));
            return Ok(created.transpose()?.unwrap_or(false));
        }
        // Last: no call goes there before the directory lists it. Rows left by an attempt that died are taken over.
        let in_directory = place.name(id);
        let parameters: [super::super::Parameter<'_>; 5] =
            [&id.as_uuid(), &name, &time_zone, &place.placement(), &in_directory];
        Ok(!main.run(&ENLIST, &parameters).await?.is_empty())
    }

    /// Makes a place ready for the organization. Idempotent.
    async fn prepare(&self, id: OrganizationId, place: &Place) -> Result<(), MoveError> {
        let schema = self.schema(id, place)?;
        let source = membership::source(self.places.pool()).await?;
        match place {
            Place::Row => return Ok(()),
            Place::Schema => {
                let (config, schema) = (config(self.places.pool()), place.schema(id));
                migrate::run_in(&config, &schema).await?;
                sealing::as_in(&config, &config, &schema).await?;
                if let Ok(source) = source.parse() {
                    membership::read_in(&config, &schema, source).await?;
                }
            }
            Place::Database(_) => {
                if let Status::Missing(missing) = migrate::status(schema.pool()).await? {
                    return Err(MoveError::Behind { place: place.clone(), missing });
                }
                if source.parse() != Ok(Membership::Tollgate) {
                    return Err(MoveError::Memberships(source));
                }
            }
        }
        Ok(self.places.copy_prices_to(&schema).await?)
    }

    /// Removes the schema of an organization that could not be created.
    async fn forget_schema(&self, main: &Session, id: OrganizationId, place: &Place) {
        if *place == Place::Schema
            && let Err(error) = main.execute_in(&place.schema(id), DROP_SCHEMA).await
        {
            tracing::warn!(
                organization_id = %id,
                %error,
                "the organization was not created, and its schema could not be removed"
            );
        }
    }

    /// A session on the directory: only one program at a time has one for this organization.
    ///
    /// Two names may stand for the same database. So the shared tables are locked as well, unless they are one of the
    /// places that will be opened. A place that is the shared tables under another name then cannot be opened.
    async fn directory(&self, id: OrganizationId, places: &[Place]) -> Result<Session, MoveError> {
        let main = Session::open(self.places.pool(), id).await?;
        main.lock("directory").await?;
        if !places.contains(&Place::Row) {
            main.lock(main.schema()).await?;
        }
        Ok(main)
    }

    /// A session in a place.
    async fn session(&self, id: OrganizationId, place: &Place) -> Result<Session, MoveError> {
        let session = Session::open(self.schema(id, place)?.pool(), id).await?;
        session.lock(session.schema()).await?;
        Ok(session)
    }

    fn schema(&self, id: OrganizationId, place: &Place) -> Result<OneSchema, MoveError> {
        self.places.schema_in(id, place).ok_or_else(|| MoveError::Unconfigured(place.clone()))
    }

    fn tell(&self, step: Step) {
        tracing::debug!(%step, "moving an organization");
        (self.tell)(step);
    }
}

fn config(pool: &Pool) -> tokio_postgres::Config {
    pool.config().connection.clone()
}

impl fmt::Debug for Mover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mover").field("places", &self.places).finish_non_exhaustive()
    }
}
