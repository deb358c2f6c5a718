//! Organizations, and the people who belong to them.

use tokio_postgres::types::Type;

use super::{Operator, balance, claims, one, places::forbidden};
use crate::{
    domain::{ids::OrganizationId, place::Place, role::Role},
    postgres::{
        door::DoorRole,
        error::PostgresError,
        places::Mover,
        policies,
        query::{Parameter, Query},
        rows::{column, own_claims},
    },
    store::{
        StoreError, StoreFuture,
        admin::{MoveError, Organization, OrganizationAdmin, Whereabouts},
    },
};

const CREATE: Query = Query::new(
    include_str!("../sql/statements/operate/create_organization.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT, Type::TEXT],
);
pub(super) const SHOW: Query =
    Query::new(include_str!("../sql/statements/operate/show_organization.sql"), &[Type::UUID]);
const LIST: Query = Query::new(
    include_str!("../sql/statements/operate/list_organizations.sql"),
    &[Type::UUID, Type::INT8],
);
const SET_ROLE: Query = Query::new(
    include_str!("../sql/statements/memberships/set_role.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT],
);

/// The number of organizations that one statement lists.
const PAGE: i64 = 1_000;

impl OrganizationAdmin for Operator {
    fn create<'a>(
        &'a self,
        id: OrganizationId,
        name: &'a str,
        time_zone: &'a str,
        place: &'a Place,
    ) -> StoreFuture<'a, bool, MoveError> {
        Box::pin(async move {
            let created = if *place == Place::Row {
                self.create_organization(id, name, time_zone).await.map_err(MoveError::from)
            } else {
                Mover::new(self.places.clone()).create(id, name, time_zone, place).await
            };
            created.map_err(|error| {
                let zone =
                    matches!(&error, MoveError::Store(error) if PostgresError::is(error, "22023"));
                if zone {
                    return MoveError::UnknownTimeZone(time_zone.to_owned());
                }
                forbidden(error)
            })
        })
    }

    fn organization(&self, id: OrganizationId) -> StoreFuture<'_, Organization> {
        Box::pin(async move {
            let rows = self.run(id, &SHOW, &[&id.as_uuid()]).await?;
            let row = one(&rows)?;
            let whereabouts = self.places.whereabouts(id).await?;
            Ok(Organization {
                organization_id: id,
                name: column(row, 0)?,
                suspended: column(row, 1)?,
                time_zone: column(row, 2)?,
                policy: policies::parse(column(row, 3)?)?,
                balance: balance(row, 4)?,
                whereabouts,
            })
        })
    }

    fn organizations_after(&self, after: OrganizationId) -> StoreFuture<'_, Vec<OrganizationId>> {
        Box::pin(async move {
            let claims = own_claims(None, Some(Role::Platform.as_str()));
            let parameters: [Parameter<'_>; 2] = [&after.as_uuid(), &PAGE];
            let door = self.places.main().door();
            let rows = door.run(&claims, DoorRole::Platform, &LIST, &parameters).await?;
            rows.iter().map(|row| column(row, 0).map(OrganizationId::new)).collect()
        })
    }

    fn place_of(&self, id: OrganizationId) -> Place {
        self.places.place_of(id)
    }

    fn whereabouts(&self, id: OrganizationId) -> StoreFuture<'_, Whereabouts> {
        Box::pin(self.places.whereabouts(id))
    }
}

impl Operator {
    /// Adds an organization with an empty balance and the default policy, in the shared tables. `false` if it exists
    /// already.
    ///
    /// # Errors
    /// Postgres does not know the time zone, or the store does not answer.
    pub async fn create_organization(
        &self,
        id: OrganizationId,
        name: &str,
        time_zone: &str,
    ) -> Result<bool, StoreError> {
        let claims = claims(id);
        let parameters: [Parameter<'_>; 4] =
            [&id.as_uuid(), &self.places.sealed(&claims), &name, &time_zone];
        let rows = self.run(id, &CREATE, &parameters).await?;
        column(one(&rows)?, 0)
    }

    /// Makes a person a member in this role, or changes the role.
    ///
    /// # Errors
    /// The role is `platform`, which is not a role in an organization; the organization does not exist; or the store
    /// does not answer.
    pub async fn set_role(
        &self,
        id: OrganizationId,
        user_id: &str,
        role: Role,
    ) -> Result<(), StoreError> {
        let rows = self.run(id, &SET_ROLE, &[&id.as_uuid(), &user_id, &role.as_str()]).await?;
        one(&rows).map(drop)
    }
}
