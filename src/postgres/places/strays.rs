//! Finds rows in other places than the one that the directory says.

use std::collections::HashMap;

use tokio_postgres::types::Type;

use super::{Place, PostgresStore, mover::rows_left};
use crate::{
    domain::{ids::OrganizationId, role::Role},
    postgres::{
        PostgresError, Query, Schema,
        door::DoorRole,
        one_schema::OneSchema,
        prove::Proof,
        rows::{column, own_claims},
    },
    store::StoreError,
};

const IN_USE: Query = Query::new(include_str!("../sql/statements/places/in_use.sql"), &[]);
const AT_REST: Query =
    Query::new(include_str!("../sql/statements/places/at_rest.sql"), &[Type::UUID]);

impl PostgresStore {
    /// Adds to the proof of a place the organizations and rows in it that should be elsewhere. Organizations that are
    /// being moved are left out.
    ///
    /// # Errors
    /// A database is unavailable.
    pub async fn prove_strays(&self, place: &str, proof: &mut Proof) -> Result<(), StoreError> {
        self.read().await?;
        match (Schema::named(place), self.further().get(place)) {
            (Some(schema), _) => {
                let pool = self.main().pool().in_schema(schema.clone());
                let store = OneSchema::new(pool);
                let owner = schema.owner().map(|id| (id, Place::Schema));
                self.prove_residents(&store, &owner.into_iter().collect(), proof).await
            }
            (None, Some(store)) => {
                let here = Place::Database(place.to_owned());
                let residents = self.placed_at(&here).map(|id| (id, here.clone())).collect();
                self.prove_residents(store, &residents, proof).await
            }
            (None, None) => self.prove_nothing_left(proof).await,
        }
    }

    /// Every organization that is in use in a place must be in that place by the directory.
    async fn prove_residents(
        &self,
        store: &OneSchema,
        residents: &HashMap<OrganizationId, Place>,
        proof: &mut Proof,
    ) -> Result<(), StoreError> {
        let claims = own_claims(None, Some(Role::Platform.as_str()));
        for row in store.door().run(&claims, DoorRole::Platform, &IN_USE, &[]).await? {
            let id = OrganizationId::new(column(&row, 0)?);
            if !residents.contains_key(&id) && self.is_at_rest(id).await? {
                let whereabouts = self.whereabouts(id).await;
                let where_it_is = match whereabouts {
                    Ok(whereabouts) => format!("the directory says {}", whereabouts.place),
                    Err(StoreError::UnknownOrganization) => {
                        "the directory has no such organization".into()
                    }
                    Err(error) => return Err(error),
                };
                proof.stray(&id.to_string(), format!("is in use here; {where_it_is}"));
            }
        }
        Ok(())
    }

    /// Of an organization that is elsewhere, the shared tables may have its row in the directory and no other row.
    async fn prove_nothing_left(&self, proof: &mut Proof) -> Result<(), StoreError> {
        for id in self.placed() {
            if !self.is_at_rest(id).await? {
                continue;
            }
            match rows_left(self.main().pool(), id).await {
                Ok(left) => {
                    for (table, rows) in left {
                        let what = format!("{rows} rows of {id}, which is elsewhere");
                        proof.stray(&table, what);
                    }
                }
                Err(error) if may_not(&error) => {
                    proof.not_checked(
                        "rows that moved organizations left behind: this user cannot become tollgate_mover",
                    );
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn is_at_rest(&self, id: OrganizationId) -> Result<bool, StoreError> {
        let claims = own_claims(None, Some(Role::Platform.as_str()));
        let door = self.main().door();
        let rows = door.run(&claims, DoorRole::Platform, &AT_REST, &[&id.as_uuid()]).await?;
        rows.first().map_or(Ok(true), |row| column(row, 0))
    }
}

fn may_not(error: &StoreError) -> bool {
    let code = PostgresError::of(error).and_then(PostgresError::code);
    code.is_some_and(|code| code.code() == "42501")
}
