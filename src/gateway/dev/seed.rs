//! Fills the store of `tollgate dev`: the schema if the store is a database, prices, and two organizations with people
//! and credits. Every step is idempotent, so the next start changes nothing.

use std::time::Duration;

use super::{DatabaseError, DevError, Organization, Tokens, place::DemoOrganization};
use crate::{
    domain::{credits::Credits, price::PriceBook, price_file::built_in, role::Role},
    gateway::{
        addresses::Addresses,
        installation,
        issuer::{DevIssuer, Grant, IssuerError},
    },
    store::{
        MemoryStore,
        admin::{CreditAdmin, PriceAdmin},
    },
};

/// A hundred dollars: enough to try things, and little enough that a test can use it up.
const CREDITS: Credits = Credits::from_nanos(100_000_000_000);
/// The reference of the grant, so that a restart does not grant again.
const REFERENCE: &str = "tollgate dev";
const TOKEN_TTL: Duration = Duration::from_hours(12);
const ROLES: [Role; 4] = [Role::Owner, Role::Admin, Role::Member, Role::Viewer];

/// Fills the database at `url`, which is its administrator's URL.
pub(super) async fn database(
    url: &str,
    organizations: &[DemoOrganization],
) -> Result<(), DevError> {
    let addresses = Addresses::only(url.to_owned());
    installation::migrate(&addresses, None, None, None).await?;
    let operator = installation::operator(&addresses, None).await?;
    let seed = async {
        // Prices that were imported since the first start stay as they are.
        let book = operator.price_book_at(None).await?;
        let missing = built_in().prices.iter().filter(|price| book.get(&price.model).is_none());
        operator.import_prices(missing).await?;
        for DemoOrganization { id, name } in organizations {
            operator.create_organization(*id, name, "UTC").await?;
            operator.grant_credits(*id, CREDITS, Some(REFERENCE)).await?;
            for role in ROLES {
                operator.set_role(*id, &person(name, role), role).await?;
            }
        }
        Ok(())
    };
    Ok(seed.await.map_err(DatabaseError::Store)?)
}

/// A store in memory with the same contents.
pub(super) fn memory(organizations: &[DemoOrganization]) -> Result<MemoryStore, DevError> {
    let store = MemoryStore::new(PriceBook::new(built_in().prices.iter().cloned()));
    for DemoOrganization { id, name } in organizations {
        store.create_organization(*id);
        store.grant_credits(*id, CREDITS).map_err(DevError::Memory)?;
        for role in ROLES {
            store.set_role(*id, &person(name, role), role).map_err(DevError::Memory)?;
        }
    }
    Ok(store)
}

/// A token for each role in each organization.
pub(super) fn tokens(
    issuer: &DevIssuer,
    organizations: &[DemoOrganization],
) -> Result<Vec<Organization>, IssuerError> {
    let with_tokens = |one: &DemoOrganization| {
        let token = |role| {
            let grant = Grant {
                role: Some(role),
                ttl: TOKEN_TTL,
                ..Grant::new(one.id, &person(&one.name, role))
            };
            issuer.issue(&grant).map(|issued| issued.token)
        };
        let tokens = Tokens {
            owner: token(Role::Owner)?,
            admin: token(Role::Admin)?,
            member: token(Role::Member)?,
            viewer: token(Role::Viewer)?,
        };
        Ok(Organization { id: one.id, name: one.name.clone(), tokens })
    };
    organizations.iter().map(with_tokens).collect()
}

/// The name of the demo person with a role, such as `acme-owner`.
fn person(organization: &str, role: Role) -> String {
    format!("{}-{role}", organization.to_lowercase())
}
