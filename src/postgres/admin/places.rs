//! Moving organizations.

use super::Operator;
use crate::{
    domain::{ids::OrganizationId, place::Place},
    postgres::{error::PostgresError, places::Mover},
    store::{
        StoreFuture,
        admin::{Copied, MoveError, PlaceAdmin, TellStep},
    },
};

impl PlaceAdmin for Operator {
    fn move_to<'a>(
        &'a self,
        id: OrganizationId,
        place: &'a Place,
        tell: TellStep,
    ) -> StoreFuture<'a, Option<Copied>, MoveError> {
        Box::pin(async move { self.mover(tell).move_to(id, place).await.map_err(forbidden) })
    }

    fn abort_move(&self, id: OrganizationId, tell: TellStep) -> StoreFuture<'_, (), MoveError> {
        Box::pin(async move { self.mover(tell).abort(id).await.map_err(forbidden) })
    }
}

impl Operator {
    fn mover(&self, tell: TellStep) -> Mover {
        Mover::new(self.places.clone()).telling(move |step| tell(step))
    }
}

/// Reports a missing right of the login, which most likely is the gateway's own.
pub(super) fn forbidden(error: MoveError) -> MoveError {
    let MoveError::Store(error) = error else { return error };
    if PostgresError::is(&error, "42501") { MoveError::Forbidden(error) } else { error.into() }
}
