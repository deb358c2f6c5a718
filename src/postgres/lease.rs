//! A connection from the pool. It returns to the pool only if no transaction and no answer is left open on it.

use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Object};
use futures_util::TryStreamExt;
use tokio_postgres::{Row, RowStream};

use super::{
    config::Prepared,
    query::{Parameter, Query, Quiet},
    schema::{Schema, Text},
    tls::Tls,
};

const CANCEL_MAX: Duration = Duration::from_secs(2);

/// A lease that is dropped unclean cancels its statement and closes the connection: the next caller must not
/// inherit its transaction, role or claims.
pub(super) struct Lease {
    // In an `Option` so that `Drop` can take it out.
    object: Option<Object>,
    clean: bool,
    /// TLS for the cancel request; `None` if no cancel request may be sent.
    cancels: Option<Tls>,
}

impl Lease {
    /// A new lease is unclean until [`clean`](Self::clean) is called.
    ///
    /// Without `cancels` the connection is closed, but no cancel request is sent. A cancel request at the wrong moment
    /// can make `PgBouncer` 1.18 to 1.20 exit, which ends it for all its clients (its issues 801, 822 and 904).
    pub(super) fn new(object: Object, cancels: Option<Tls>) -> Self {
        Self { object: Some(object), clean: false, cancels }
    }

    #[expect(clippy::expect_used, reason = "only `Drop` takes the object out")]
    pub(super) fn client(&self) -> &ClientWrapper {
        self.object.as_deref().expect("a lease has its connection until it is dropped")
    }

    /// Returns the connection to the pool. To be called only when every statement has been answered and no
    /// transaction is open.
    pub(super) fn clean(mut self) {
        self.clean = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(object) = self.object.take() else { return };
        if self.clean {
            return;
        }
        metrics::counter!("tollgate_pool_discarded_total").increment(1);
        let client = Object::take(object);
        if client.is_closed() {
            return;
        }
        let Some(tls) = self.cancels.take() else { return };
        let token = client.cancel_token();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // If the cancel does not arrive, the server notices the closed connection by itself.
                drop(tokio::time::timeout(CANCEL_MAX, tls.cancel(token)).await);
                drop(client);
            });
        }
    }
}

/// A statement that is ready to be sent without waiting for anything.
pub(super) struct Ready<'a> {
    client: &'a ClientWrapper,
    statement: &'a Query,
    text: Text,
    prepared: Option<tokio_postgres::Statement>,
}

impl<'a> Ready<'a> {
    /// Prepares the statement on this connection, unless it is prepared already or is sent unprepared.
    ///
    /// Statements about an organization's own schema are never prepared. A prepared statement lives as long as its
    /// connection, and each connection would collect one set for every such organization.
    pub(super) async fn on(
        client: &'a ClientWrapper,
        schema: &Schema,
        statement: &'a Query,
        prepared: Prepared,
    ) -> Result<Self, tokio_postgres::Error> {
        let text = schema.text(statement.sql());
        let prepared = match prepared {
            Prepared::Auto if schema.owner().is_none() => {
                Some(client.prepare_typed_cached(&text, statement.types()).await?)
            }
            Prepared::Auto | Prepared::Never => None,
        };
        Ok(Self { client, statement, text, prepared })
    }

    /// Sends the statement when first polled: futures polled in order are sent in order.
    pub(super) async fn rows(
        &self,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let quiet = parameters.iter().copied().map(Quiet);
        let rows: RowStream = if let Some(prepared) = &self.prepared {
            self.client.query_raw(prepared, quiet).await?
        } else {
            let types = self.statement.types().iter().cloned();
            self.client.query_typed_raw(&self.text, quiet.zip(types)).await?
        };
        rows.try_collect().await
    }
}
