//! Sends each statement about an organization to the place of its rows.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;

use super::{Place, Whereabouts, directory, lookups::Lookups, sweep::Turns};
use crate::{
    domain::ids::OrganizationId,
    postgres::{Pool, PostgresError, Sealed, error, one_schema::OneSchema},
    store::{
        StoreError, StoreFuture,
        coalesce::{Coalescer, Options},
    },
};

/// Policies, prices, kill switches, ledger and journal on Postgres, over all places of one installation. Cheap to
/// clone; clones share the connections and the known places.
///
/// The directory in the main database says where organizations are. [`read`](Self::read) loads all organizations that
/// are not in the shared tables. An organization is looked up again when its place answers that it is not there. An
/// organization that is not known here is in the shared tables, so its calls need no lookup.
///
/// Each method runs one statement for one organization, in one round trip. Concurrent holds and finishes of one
/// organization share a statement. A call that meets a move waits for the end of the move, for a bounded time. Calls of
/// one organization are batched before that, so the calls that arrive meanwhile go to the new place in one statement.
///
/// The pool's login needs no more rights than `tollgate_login` has.
#[derive(Clone)]
pub struct PostgresStore(Coalescer<Anywhere>);

/// The statements about calls, each sent to the place of its organization.
#[derive(Clone)]
pub(super) struct Anywhere(Arc<Inner>);

struct Inner {
    main: OneSchema,
    databases: BTreeMap<String, OneSchema>,
    placed: ArcSwap<HashMap<OrganizationId, Home>>,
    lookups: Lookups,
    wait_max: Duration,
    turns: Turns,
}

/// The place of an organization, and the schema there: `None` if the configuration does not have that database.
#[derive(Clone)]
struct Home {
    place: Place,
    schema: Option<OneSchema>,
}

/// What an error says about the place of the organization.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hint {
    /// The organization is not there.
    Away,
    /// The organization is there, and is being moved.
    Moving,
    /// Nothing for certain: the place may have been removed.
    Perhaps,
}

impl PostgresStore {
    /// The usual time that a call waits for the end of a move.
    pub const WAIT_MAX: Duration = Duration::from_secs(10);

    /// All organizations of one database: in its shared tables and in schemas of their own.
    pub fn new(pool: Pool) -> Self {
        Self::with(pool, Options::default())
    }

    /// As [`new`](Self::new), with other bounds for the batches and the queues of calls.
    pub fn with(pool: Pool, options: Options) -> Self {
        Self::across(pool, [], Self::WAIT_MAX, options)
    }

    /// The places of the main database, and further databases by the names that the directory has for them. A call
    /// waits at most `wait_max` for the end of a move.
    pub fn across(
        main: Pool,
        databases: impl IntoIterator<Item = (String, Pool)>,
        wait_max: Duration,
        options: Options,
    ) -> Self {
        let further = |(name, pool)| (name, OneSchema::new(pool));
        let inner = Inner {
            main: OneSchema::new(main),
            databases: databases.into_iter().map(further).collect(),
            placed: ArcSwap::default(),
            lookups: Lookups::default(),
            wait_max,
            turns: Turns::default(),
        };
        Self(Coalescer::new(Anywhere(Arc::new(inner)), options))
    }

    /// The same places, on one more connection to each database, as [`Pool::beside`].
    pub(in crate::postgres) fn beside(&self, statement_max: Duration) -> Result<Self, StoreError> {
        let inner = self.inner();
        let mut further = Vec::with_capacity(inner.databases.len());
        for (name, schema) in &inner.databases {
            further.push((name.clone(), schema.pool().beside(statement_max)?));
        }
        let main = inner.main.pool().beside(statement_max)?;
        Ok(Self::across(main, further, inner.wait_max, Options::default()))
    }

    /// Reads the whole directory. To be done once before the first call: otherwise the first call of an organization
    /// may go to the wrong place first.
    ///
    /// # Errors
    /// The main database is unavailable.
    pub async fn read(&self) -> Result<(), StoreError> {
        let inner = self.inner();
        let placed = directory::placed(inner.main.door()).await?;
        let homes = placed.into_iter().map(|(id, place)| {
            let known = inner.home(id);
            (id, if known.place == place { known } else { inner.home_in(id, place) })
        });
        inner.placed.store(Arc::new(homes.collect()));
        Ok(())
    }

    /// The pool of the main database.
    pub fn pool(&self) -> &Pool {
        self.main().pool()
    }

    /// The shared tables of the main database, where the directory and the prices are.
    pub(in crate::postgres) fn main(&self) -> &OneSchema {
        &self.inner().main
    }

    /// The place of the organization, as it is known here.
    pub fn place_of(&self, id: OrganizationId) -> Place {
        self.inner().home(id).place
    }

    /// The place of the organization and the state of its move, from the directory.
    ///
    /// # Errors
    /// [`UnknownOrganization`](StoreError::UnknownOrganization), or the main database is unavailable.
    pub async fn whereabouts(&self, id: OrganizationId) -> Result<Whereabouts, StoreError> {
        directory::whereabouts(self.main().door(), id).await
    }

    /// The names of the further databases.
    pub fn databases(&self) -> impl Iterator<Item = &str> {
        self.further().keys().map(String::as_str)
    }

    /// As [`Pool::sealed`]: one seal is valid in all places.
    pub fn sealed<'a>(&'a self, claims: &'a str) -> Sealed<'a> {
        self.pool().sealed(claims)
    }

    /// Calls `ask` with the schema of the organization's place, and follows the organization if it moves meanwhile.
    ///
    /// `ask` is called again only after an error that says that nothing was done.
    pub(in crate::postgres) async fn ask<'a, T>(
        &self,
        id: OrganizationId,
        ask: impl Fn(OneSchema) -> StoreFuture<'a, T>,
    ) -> Result<T, StoreError> {
        self.0.batches().ask(id, ask).await
    }

    /// The queues of calls.
    pub(super) const fn calls(&self) -> &Coalescer<Anywhere> {
        &self.0
    }

    /// The shared tables of the further databases, by name.
    pub(super) fn further(&self) -> &BTreeMap<String, OneSchema> {
        &self.inner().databases
    }

    /// The organizations' own schemas that are known here, in the order of their organizations.
    pub(super) fn schemas(&self) -> BTreeMap<OrganizationId, OneSchema> {
        let placed = self.inner().placed.load();
        let schemas = placed.iter().filter(|(_, home)| home.place == Place::Schema);
        schemas.filter_map(|(id, home)| Some((*id, home.schema.clone()?))).collect()
    }

    /// The organizations that are known to be outside the shared tables.
    pub(super) fn placed(&self) -> Vec<OrganizationId> {
        self.inner().placed.load().keys().copied().collect()
    }

    /// The organizations that are known to be in this place.
    pub(super) fn placed_at(&self, place: &Place) -> impl Iterator<Item = OrganizationId> {
        let placed = self.inner().placed.load();
        let here = placed.iter().filter(|(_, home)| home.place == *place).map(|(id, _)| *id);
        here.collect::<Vec<_>>().into_iter()
    }

    pub(super) fn turns(&self) -> &Turns {
        &self.inner().turns
    }

    /// The schema of a place; `None` for a database that the configuration does not have.
    pub(super) fn schema_in(&self, id: OrganizationId, place: &Place) -> Option<OneSchema> {
        self.inner().schema_in(id, place)
    }

    fn inner(&self) -> &Inner {
        &self.0.batches().0
    }
}

impl Anywhere {
    const PAUSE_MIN: Duration = Duration::from_millis(10);
    const PAUSE_MAX: Duration = Duration::from_millis(250);
    /// How often one call follows its organization to another place. No organization moves that fast.
    const HOPS_MAX: usize = 8;

    /// As [`PostgresStore::ask`].
    pub(super) async fn ask<'a, T>(
        &self,
        id: OrganizationId,
        ask: impl Fn(OneSchema) -> StoreFuture<'a, T>,
    ) -> Result<T, StoreError> {
        self.ask_within(self.0.wait_max, id, ask).await
    }

    /// As [`ask`](Self::ask), and waits at most this long for the end of a move.
    pub(super) async fn ask_within<'a, T>(
        &self,
        wait_max: Duration,
        id: OrganizationId,
        ask: impl Fn(OneSchema) -> StoreFuture<'a, T>,
    ) -> Result<T, StoreError> {
        let (begun, wait_max) = (Instant::now(), wait_max.min(self.0.wait_max));
        let (mut pause, mut hops) = (Self::PAUSE_MIN, 0_usize);
        loop {
            let home = self.0.home(id);
            let answer = match &home.schema {
                Some(schema) => ask(schema.clone()).await,
                None => Err(unconfigured(&home.place)),
            };
            let error = match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let Some(hint) = Hint::of(&error, &home.place) else { return Err(error) };
            // Boxed because it is rare: otherwise it would enlarge every call's future.
            if Box::pin(self.0.look_again(id)).await.is_err() {
                return Err(passing(error));
            }
            let moved = self.0.home(id).place != home.place;
            if moved && hops < Self::HOPS_MAX && (hint != Hint::Perhaps || is_answer(&error)) {
                hops = hops.saturating_add(1);
                continue;
            }
            if hint == Hint::Perhaps || begun.elapsed().saturating_add(pause) > wait_max {
                return Err(passing(error));
            }
            metrics::counter!("tollgate_moves_waited_total").increment(1);
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(Self::PAUSE_MAX);
        }
    }
}

impl Inner {
    fn home(&self, id: OrganizationId) -> Home {
        let placed = self.placed.load();
        placed
            .get(&id)
            .cloned()
            .unwrap_or_else(|| Home { place: Place::Row, schema: Some(self.main.clone()) })
    }

    fn home_in(&self, id: OrganizationId, place: Place) -> Home {
        Home { schema: self.schema_in(id, &place), place }
    }

    fn schema_in(&self, id: OrganizationId, place: &Place) -> Option<OneSchema> {
        match place {
            Place::Row => Some(self.main.clone()),
            Place::Schema => Some(OneSchema::new(self.main.pool().in_schema(place.schema(id)))),
            Place::Database(name) => self.databases.get(name).cloned(),
        }
    }

    /// Asks the directory where the organization is now.
    async fn look_again(&self, id: OrganizationId) -> Result<(), StoreError> {
        let look = async {
            metrics::counter!("tollgate_places_looked_up_total").increment(1);
            let place = directory::place_of(self.main.door(), id).await?.unwrap_or_default();
            if self.home(id).place != place {
                let home = self.home_in(id, place);
                self.placed.rcu(|placed| {
                    let mut placed = HashMap::clone(placed);
                    if home.place == Place::Row {
                        placed.remove(&id);
                    } else {
                        placed.insert(id, home.clone());
                    }
                    placed
                });
            }
            Ok(())
        };
        self.lookups.share(id, Instant::now(), look).await.map(drop)
    }
}

impl Hint {
    fn of(error: &StoreError, place: &Place) -> Option<Self> {
        match PostgresError::of(error).and_then(PostgresError::code) {
            Some(code) if code.code() == error::MOVED_AWAY => Some(Self::Away),
            Some(code) if code.code() == error::BEING_MOVED => Some(Self::Moving),
            // An organization that the main database does not have exists in no other place.
            _ if *place == Place::Row => None,
            _ if matches!(error, StoreError::UnknownOrganization) => Some(Self::Away),
            _ => Some(Self::Perhaps),
        }
    }
}

/// Whether the error is the server's answer, so nothing was done. After any other error the statement may have run.
fn is_answer(error: &StoreError) -> bool {
    PostgresError::of(error).is_some_and(|error| error.code().is_some())
        || matches!(error, StoreError::UnknownOrganization)
}

/// Makes a missing organization a passing error: the directory has the organization, so its place will have it, too.
fn passing(error: StoreError) -> StoreError {
    if matches!(error, StoreError::UnknownOrganization) {
        let cause = PostgresError::text("the organization is not in its place");
        return StoreError::Unavailable(cause.into());
    }
    error
}

fn unconfigured(place: &Place) -> StoreError {
    let what = format!("there is no {place} in the configuration: add it to [database.placements]");
    StoreError::Unavailable(PostgresError::text(what).into())
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner();
        f.debug_struct("PostgresStore")
            .field("main", inner.main.pool())
            .field("databases", &inner.databases.keys())
            .field("placed", &inner.placed.load().len())
            .finish_non_exhaustive()
    }
}
