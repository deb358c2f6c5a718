//! Checks the books of every organization.

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

use super::{Operator, balance, claims, one};
use crate::{
    domain::{credits::Credits, ids::OrganizationId, place::Place},
    postgres::{
        door::DoorRole,
        query::{Parameter, Query},
        rows::column,
    },
    store::{
        Balance, StoreError, StoreFuture,
        admin::{BookAdmin, Books, OrganizationAdmin, Reconciliation},
    },
};

const RECONCILE: Query =
    Query::new(include_str!("../sql/statements/credits/reconcile.sql"), &[Type::UUID, Type::TEXT]);
const CHECK_PRICES: Query = Query::new(
    include_str!("../sql/statements/credits/check_prices.sql"),
    &[Type::UUID, Type::TEXT, Type::INT8, Type::UUID, Type::INT4],
);

/// The finding of `reconcile` if the organization has no balance.
const NO_BALANCE: &str = "balance is missing";
/// How many organizations' books are read at once. Each may be a large read, and calls must go on.
pub(super) const AT_ONCE: usize = 4;
/// The number of calls whose prices one statement checks.
const SLICE: i32 = 5_000;
/// The most findings that are reported for one organization.
const FINDINGS_MAX: usize = 100;

impl BookAdmin for Operator {
    fn books(&self, id: OrganizationId) -> StoreFuture<'_, Books> {
        Box::pin(async move {
            let (own, main) = (&claims(id), self.places.pool());
            let read = self.places.ask(id, move |store| {
                Box::pin(async move {
                    let (door, id) = (store.door(), id.as_uuid());
                    let parameters: [Parameter<'_>; 2] = [&id, &door.sealed(own)];
                    let rows = door.run(own, DoorRole::Platform, &RECONCILE, &parameters).await?;
                    let books = books(OrganizationId::new(id), one(&rows)?)?;
                    // Without a balance, the organization has left this place: its books are not here and not broken.
                    let nothing = books.broken.iter().any(|finding| finding == NO_BALANCE);
                    if nothing && !store.pool().is(main) {
                        return Err(StoreError::UnknownOrganization);
                    }
                    Ok(books)
                })
            });
            let mut books = read.await?;
            self.check_prices(id, &mut books.broken).await?;
            Ok(books)
        })
    }

    fn reconcile(&self) -> StoreFuture<'_, Reconciliation> {
        Box::pin(async move {
            let mut found = Reconciliation::default();
            let mut after = OrganizationId::new(Uuid::nil());
            loop {
                let page = self.organizations_after(after).await?;
                let Some(last) = page.last() else { return Ok(found) };
                after = *last;
                let books =
                    stream::iter(page).map(|id| self.readable(id)).buffer_unordered(AT_ONCE);
                found =
                    books.try_fold(found, |sum, books| async move { Ok(sum.with(books)) }).await?;
            }
        })
    }
}

impl Operator {
    /// Adds a finding for each call whose cost is not usage × price, up to `FINDINGS_MAX`.
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
