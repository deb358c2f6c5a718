//! What the store of `tollgate dev` begins with: the schema where it is a database, prices, two organizations with people
//! and credits. All of it is idempotent: the next start finds it there.

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

/// A hundred dollars: enough to play with, little enough to be used up by a test that tries.
const CREDITS: Credits = Credits::from_nanos(100_000_000_000);
/// The grant's key, so that a restart grants nothing more.
const REFERENCE: &str = "tollgate dev";
const TOKEN_TTL: Duration = Duration::from_hours(12);
const ROLES: [Role; 4] = [Role::Owner, Role::Admin, Role::Member, Role::Viewer];

/// Brings the database at `url` (its administrator's) to what a demo needs.
pub(super) async fn database(
    url: &str,
    organizations: &[DemoOrganization],
) -> Result<(), DevError> {
    let addresses = Addresses::only(url.to_owned());
    installation::migrate(&addresses, None, None, None).await?;
    let operator = installation::operator(&addresses, None).await?;
    let seed = async {
        // What somebody has imported since the first start stays as it is.
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

/// The same in memory.
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

/// The demo's person in a role: `acme-owner`.
fn person(organization: &str, role: Role) -> String {
    format!("{}-{role}", organization.to_lowercase())
}
