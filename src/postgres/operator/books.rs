//! Whether the books of every organization are in order.

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

use super::{Operator, Parameter, balance, claims, one};
use crate::{
    domain::{credits::Credits, ids::OrganizationId, role::Role},
    postgres::{
        door::DoorRole,
        places::Place,
        rows::{column, own_claims},
        statement::Statement,
    },
    store::{Balance, StoreError},
};

const LIST: Statement = Statement::new(
    include_str!("../sql/statements/operate/list_organizations.sql"),
    &[Type::UUID, Type::INT8],
);
const RECONCILE: Statement = Statement::new(
    include_str!("../sql/statements/credits/reconcile.sql"),
    &[Type::UUID, Type::TEXT],
);
const CHECK_PRICES: Statement = Statement::new(
    include_str!("../sql/statements/credits/check_prices.sql"),
    &[Type::UUID, Type::TEXT, Type::INT8, Type::UUID, Type::INT4],
);

/// What `reconcile` says where the organization has no balance.
const NO_BALANCE: &str = "balance is missing";
const PAGE: i64 = 1_000;
/// Books that are read at once: each may read much, and calls must go on.
pub(super) const AT_ONCE: usize = 4;
/// Calls whose prices are checked in one statement.
const SLICE: i32 = 5_000;
/// What is wrong with one organization's books, as far as it is told.
const FINDINGS_MAX: usize = 100;

/// The books of one organization, at one moment.
#[derive(Clone, Debug)]
pub struct Books {
    /// Whose they are.
    pub organization_id: OrganizationId,
    /// What it has.
    pub balance: Balance,
    /// What it was charged in all, debts not counted.
    pub charged: Credits,
    /// Holds that stand.
    pub holds_open: u64,
    /// Holds that ran out of time, and whose calls have not ended yet.
    pub expired: u64,
    /// What these calls may have used and were not charged for, at the most.
    pub unbilled_max: Credits,
    /// What is wrong; nothing, if all is well. At most a hundred findings.
    pub broken: Vec<String>,
}

/// The books of all organizations.
#[derive(Clone, Debug, Default)]
pub struct Reconciliation {
    /// How many organizations were checked.
    pub organizations: u64,
    /// The sums over all of them, each as of the moment it was read.
    pub balance: Balance,
    /// The sum of all charges.
    pub charged: Credits,
    /// Holds that stand.
    pub holds_open: u64,
    /// Holds that ran out of time, and whose calls have not ended yet.
    pub expired: u64,
    /// What these calls may have used and were not charged for, at the most.
    pub unbilled_max: Credits,
    /// The organizations whose books are broken; none, if all is well.
    pub broken: Vec<Books>,
}

impl Operator {
    /// Checks the books of one organization: one statement, one snapshot. Then, in slices, that each
    /// call costs what its usage comes to by the price it names.
    ///
    /// # Errors
    /// The store is away. An organization that is not there is found broken.
    pub async fn books(&self, id: OrganizationId) -> Result<Books, StoreError> {
        let (own, main) = (&claims(id), self.places.main());
        let read = self.places.ask(id, move |store| {
            Box::pin(async move {
                let (door, id) = (store.door(), id.as_uuid());
                let parameters: [Parameter<'_>; 2] = [&id, &door.sealed(own)];
                let rows = door.run(own, DoorRole::Platform, &RECONCILE, &parameters).await?;
                let books = books(OrganizationId::new(id), one(&rows)?)?;
                // It has left the place: the books that are broken are those of nobody.
                let nothing = books.broken.iter().any(|finding| finding == NO_BALANCE);
                if nothing && !store.is(main) {
                    return Err(StoreError::UnknownOrganization);
                }
                Ok(books)
            })
        });
        let mut books = read.await?;
        self.check_prices(id, &mut books.broken).await?;
        Ok(books)
    }

    /// Adds every call that does not cost usage × price, until there are findings enough.
    async fn check_prices(
        &self,
        id: OrganizationId,
        broken: &mut Vec<String>,
    ) -> Result<(), StoreError> {
        let mut after: Option<(i64, Uuid)> = None;
        while broken.len() < FINDINGS_MAX {
            let claims = claims(id);
            let (at, last) = (after.map(|(at, _)| at), after.map(|(_, id)| id));
            let parameters: [Parameter<'_>; 5] =
                [&id.as_uuid(), &self.places.sealed(&claims), &at, &last, &SLICE];
            let rows = self.any(id, &CHECK_PRICES, &parameters).await?;
            let Some(row) = rows.first() else { break };
            broken.extend(column::<Vec<String>>(row, 3)?);
            if column::<i64>(row, 0)? < i64::from(SLICE) {
                break;
            }
            after = Some((column(row, 1)?, column(row, 2)?));
        }
        broken.truncate(FINDINGS_MAX);
        Ok(())
    }

    /// Checks the books of every organization, wherever it is, one after the other, while calls go on. Books that
    /// cannot be read because their place is away are broken.
    ///
    /// # Errors
    /// The main database is away.
    pub async fn reconcile(&self) -> Result<Reconciliation, StoreError> {
        let mut found = Reconciliation::default();
        let mut after = OrganizationId::new(Uuid::nil());
        loop {
            let page = self.organizations_after(after).await?;
            let Some(last) = page.last() else { return Ok(found) };
            after = *last;
            let books = stream::iter(page).map(|id| self.readable(id)).buffer_unordered(AT_ONCE);
            found = books.try_fold(found, |sum, books| async move { Ok(sum.with(books)) }).await?;
        }
    }

    async fn readable(&self, id: OrganizationId) -> Result<Books, StoreError> {
        match self.books(id).await {
            Err(error) if self.places.place_of(id) != Place::Row => Ok(Books {
                organization_id: id,
                balance: Balance::default(),
                charged: Credits::ZERO,
                holds_open: 0,
                expired: 0,
                unbilled_max: Credits::ZERO,
                broken: vec![format!("cannot be read in {}: {error}", self.places.place_of(id))],
            }),
            books => books,
        }
    }

    /// The next organizations, in order of their ids, after this one; none after the last.
    ///
    /// # Errors
    /// The store is away.
    pub async fn organizations_after(
        &self,
        after: OrganizationId,
    ) -> Result<Vec<OrganizationId>, StoreError> {
        let claims = own_claims(None, Some(Role::Platform.as_str()));
        let parameters: [Parameter<'_>; 2] = [&after.as_uuid(), &PAGE];
        let door = self.places.main().door();
        let rows = door.run(&claims, DoorRole::Platform, &LIST, &parameters).await?;
        rows.iter().map(|row| column(row, 0).map(OrganizationId::new)).collect()
    }
}

fn books(id: OrganizationId, row: &Row) -> Result<Books, StoreError> {
    Ok(Books {
        organization_id: id,
        balance: balance(row, 0)?,
        charged: Credits::from_nanos(column(row, 3)?),
        holds_open: u64::try_from(column::<i64>(row, 4)?).unwrap_or(0),
        expired: u64::try_from(column::<i64>(row, 5)?).unwrap_or(0),
        unbilled_max: Credits::from_nanos(column(row, 6)?),
        broken: column(row, 7)?,
    })
}

impl Reconciliation {
    fn with(mut self, books: Books) -> Self {
        let add = |sum: Credits, more: Credits| sum.checked_add(more).unwrap_or(Credits::MAX);
        self.organizations = self.organizations.saturating_add(1);
        self.balance.posted = add(self.balance.posted, books.balance.posted);
        self.balance.held = add(self.balance.held, books.balance.held);
        self.balance.debt = add(self.balance.debt, books.balance.debt);
        self.charged = add(self.charged, books.charged);
        self.holds_open = self.holds_open.saturating_add(books.holds_open);
        self.expired = self.expired.saturating_add(books.expired);
        self.unbilled_max = add(self.unbilled_max, books.unbilled_max);
        if !books.broken.is_empty() {
            self.broken.push(books);
        }
        self
    }
}
