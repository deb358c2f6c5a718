use std::sync::Arc;

use tower_layer::Layer;

use super::Models;
use crate::{domain::policy::AllowList, store::Policies};

/// Applies [`Models`]. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct ModelsLayer {
    rule: Rule,
}

/// The allow list that applies.
#[derive(Clone, Debug)]
pub(super) enum Rule {
    Everyone(Arc<AllowList>),
    EachOrganization(Policies),
}

impl ModelsLayer {
    /// Decides by the policy of the caller's organization. Needs `Tenant` and `Call`.
    pub const fn new(policies: Policies) -> Self {
        Self { rule: Rule::EachOrganization(policies) }
    }

    /// One list for everybody, in which a trailing `*` is a wildcard. Needs `Call`, but no `Tenant`.
    pub fn allowing<I>(models: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let names = models.into_iter().map(Into::into).collect();
        Self { rule: Rule::Everyone(Arc::new(AllowList::Only(names))) }
    }
}

impl<S> Layer<S> for ModelsLayer {
    type Service = Models<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Models::new(inner, self.rule.clone())
    }
}
