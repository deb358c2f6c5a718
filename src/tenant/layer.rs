use tower_layer::Layer;

use super::{service::Tenants, verifier::Verifier};

/// Applies [`Tenants`]. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct TenantLayer {
    verifier: Verifier,
}

impl TenantLayer {
    /// Admits requests with a token that this verifier accepts.
    pub const fn new(verifier: Verifier) -> Self {
        Self { verifier }
    }
}

impl<S> Layer<S> for TenantLayer {
    type Service = Tenants<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Tenants::new(inner, self.verifier.clone())
    }
}
