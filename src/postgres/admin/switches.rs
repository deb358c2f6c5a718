//! Kill switches, set by the operator.

use tokio_postgres::types::Type;

use super::{Operator, claims, one};
use crate::{
    domain::{ids::OrganizationId, switch::Switch},
    postgres::{door::DoorRole, query::Query, switches},
    store::{StoreError, StoreFuture, SwitchesOn, admin::SwitchAdmin},
};

const SUSPEND: Query = Query::new(
    include_str!("../sql/statements/operate/suspend_organization.sql"),
    &[Type::UUID, Type::BOOL, Type::TEXT],
);

impl SwitchAdmin for Operator {
    fn turn_on<'a>(
        &'a self,
        id: OrganizationId,
        switch: &'a Switch,
        reason: Option<&'a str>,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            if *switch == Switch::Organization {
                return self.suspend(id, true, reason).await.map(|()| true);
            }
            let (claims, role) = (&claims(id), DoorRole::Platform);
            let turned = self.places.ask(id, move |store| {
                Box::pin(async move {
                    switches::turn_on(store.door(), claims, role, id, switch, reason).await
                })
            });
            Ok(turned.await?.is_some())
        })
    }

    fn switches(&self, id: OrganizationId) -> StoreFuture<'_, SwitchesOn> {
        Box::pin(async move {
            let (claims, role) = (&claims(id), DoorRole::Platform);
            let list = self.places.ask(id, move |store| {
                Box::pin(async move { switches::list(store.door(), claims, role, id).await })
            });
            list.await
        })
    }

    fn turn_off<'a>(&'a self, id: OrganizationId, switch: &'a Switch) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            if *switch == Switch::Organization {
                return self.suspend(id, false, None).await;
            }
            let (claims, role) = (&claims(id), DoorRole::Platform);
            let turned = self.places.ask(id, move |store| {
                Box::pin(
                    async move { switches::turn_off(store.door(), claims, role, id, switch).await },
                )
            });
            turned.await
        })
    }
}

impl Operator {
    /// Turns the operator's kill switch on or off. Every later hold checks the switch. Gateways that listen for changes
    /// cut open calls.
    ///
    /// # Errors
    /// The organization does not exist, or the store does not answer.
    pub async fn set_suspended(
        &self,
        id: OrganizationId,
        suspended: bool,
    ) -> Result<(), StoreError> {
        self.suspend(id, suspended, None).await
    }

    async fn suspend(
        &self,
        id: OrganizationId,
        suspended: bool,
        reason: Option<&str>,
    ) -> Result<(), StoreError> {
        let rows = self.run(id, &SUSPEND, &[&id.as_uuid(), &suspended, &reason]).await?;
        one(&rows).map(drop)
    }
}
