//! The scope of a limit or budget on the command line.

use clap::Args;

use crate::{
    admin::{
        problem::ScopeFault,
        scoped::{self, Which},
    },
    domain::{ids::OrganizationId, scope::Scope},
};

/// A scope in an organization, and an id in that scope.
#[derive(Debug, Args)]
pub(super) struct Scoped {
    /// Which organization
    #[arg(long, value_name = "ID")]
    org: OrganizationId,
    /// organization, team, user or key
    #[arg(long)]
    scope: Scope,
    /// Which team, key (their UUID) or user (the token's `sub`)
    #[arg(long, value_name = "WHICH", conflicts_with = "each")]
    id: Option<String>,
    /// Applies separately to every team, user or key without an entry of its own
    #[arg(long)]
    each: bool,
}

impl Scoped {
    pub(super) fn read(&self) -> Result<scoped::Scoped, ScopeFault> {
        let which = match (self.id.as_deref(), self.each) {
            (Some(id), _) => Which::One(id),
            (None, true) => Which::Each,
            (None, false) => Which::Unnamed,
        };
        scoped::Scoped::new(self.org, self.scope, which)
    }
}

/// The scope and the id as text for people.
pub(super) fn whose(scope: Scope, scope_id: &str) -> String {
    match (scope, scope_id) {
        (Scope::Organization, _) => "The organization".to_owned(),
        (scope, Scope::EACH) => format!("Each {scope}"),
        (scope, id) => {
            let mut name = scope.to_string();
            name.get_mut(..1).map(str::make_ascii_uppercase);
            format!("{name} {id}")
        }
    }
}
