//! Credits.

use tokio_postgres::types::Type;

use super::{Operator, balance, claims, one};
use crate::{
    domain::{credits::Credits, ids::OrganizationId},
    postgres::{
        error::PostgresError,
        query::{Parameter, Query},
        rows::column,
    },
    store::{
        StoreError, StoreFuture,
        admin::{CreditAdmin, GrantError, Granted},
    },
};

const GRANT: Query = Query::new(
    include_str!("../sql/statements/credits/grant_credits.sql"),
    &[Type::UUID, Type::TEXT, Type::INT8, Type::TEXT],
);

impl CreditAdmin for Operator {
    fn grant_credits<'a>(
        &'a self,
        id: OrganizationId,
        amount: Credits,
        reference: Option<&'a str>,
    ) -> StoreFuture<'a, Granted, GrantError> {
        Box::pin(async move {
            let claims = claims(id);
            let parameters: [Parameter<'_>; 4] =
                [&id.as_uuid(), &self.places.sealed(&claims), &amount.nanos(), &reference];
            let rows = self.run(id, &GRANT, &parameters).await.map_err(refused)?;
            let row = one(&rows)?;
            Ok(Granted { balance: balance(row, 0)?, replayed: column(row, 3)? })
        })
    }
}

fn refused(error: StoreError) -> GrantError {
    if PostgresError::is(&error, "TG409") {
        GrantError::OtherAmount
    } else if PostgresError::is(&error, "22003") {
        GrantError::TooLarge
    } else {
        error.into()
    }
}
