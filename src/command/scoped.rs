//! Whose limit or budget a command is about.

use clap::Args;
use uuid::Uuid;

use super::Failure;
use crate::domain::{ids::OrganizationId, scope::Scope};

/// A scope of an organization, and which one of it.
#[derive(Debug, Args)]
pub(super) struct Scoped {
    /// Of which organization
    #[arg(long, value_name = "ID")]
    pub(super) org: OrganizationId,
    /// organization, team, user or key
    #[arg(long)]
    pub(super) scope: Scope,
    /// Which team, key (their UUID) or user (the token's `sub`)
    #[arg(long, value_name = "WHICH", conflicts_with = "each")]
    id: Option<String>,
    /// Each team, user or key on its own that has none of its own
    #[arg(long)]
    each: bool,
}

impl Scoped {
    /// The id as it is stored, which is as tokens write it.
    pub(super) fn scope_id(&self) -> Result<String, Failure> {
        let scope = self.scope;
        match (scope, self.id.as_deref(), self.each) {
            (Scope::Organization, None, false) => Ok(String::new()),
            (Scope::Organization, ..) => {
                Err(Failure::new("an organization has no id but --org: leave --id and --each out"))
            }
            (_, None, false) => {
                Err(Failure::new(format!("which {scope}? Name it with --id, or say --each")))
            }
            (_, None, true) => Ok(Scope::EACH.to_owned()),
            (_, Some("" | Scope::EACH), _) => {
                Err(Failure::new(format!("this is no {scope}: for each of them say --each")))
            }
            (Scope::User, Some(user), _) => Ok(user.to_owned()),
            (Scope::Team | Scope::Key, Some(id), _) => match Uuid::parse_str(id) {
                Ok(id) => Ok(id.hyphenated().to_string()),
                Err(_) => Err(Failure::new(format!("`{id}` is no {scope}: its id is a UUID"))),
            },
        }
    }
}

/// Whose it is, for people.
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
