//! The scope of a limit or budget.

use uuid::Uuid;

use super::problem::ScopeFault;
use crate::domain::{ids::OrganizationId, scope::Scope};

/// A scope in an organization, and an id in that scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scoped {
    pub(crate) organization: OrganizationId,
    pub(crate) scope: Scope,
    /// The id as it is stored, which is the spelling in tokens.
    pub(crate) scope_id: String,
}

/// Which member of a scope a request names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which<'a> {
    /// None is named.
    Unnamed,
    /// The wildcard: applies separately to each member without an entry of its own.
    Each,
    /// The one with this id.
    One(&'a str),
}

impl Scoped {
    pub(crate) fn new(
        organization: OrganizationId,
        scope: Scope,
        which: Which<'_>,
    ) -> Result<Self, ScopeFault> {
        let scope_id = match (scope, which) {
            (Scope::Organization, Which::Unnamed) => String::new(),
            (Scope::Organization, _) => return Err(ScopeFault::OrganizationHasNoId),
            (_, Which::Unnamed) => return Err(ScopeFault::Unnamed(scope)),
            (_, Which::Each) => Scope::EACH.to_owned(),
            (_, Which::One("" | Scope::EACH)) => return Err(ScopeFault::Reserved(scope)),
            (Scope::User, Which::One(user)) => user.to_owned(),
            (Scope::Team | Scope::Key, Which::One(id)) => match Uuid::parse_str(id) {
                Ok(id) => id.hyphenated().to_string(),
                Err(_) => return Err(ScopeFault::NotAUuid(scope, id.to_owned())),
            },
        };
        Ok(Self { organization, scope, scope_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_kept_as_tokens_write_it_or_refused() {
        let org = OrganizationId::new(Uuid::from_u128(1));
        let id = |scope, which| Scoped::new(org, scope, which).map(|scoped| scoped.scope_id);
        let (upper, lower) =
            ("{0192F0C1-2345-7890-ABCD-EF0123456789}", "0192f0c1-2345-7890-abcd-ef0123456789");
        assert_eq!(id(Scope::Organization, Which::Unnamed), Ok(String::new()));
        assert_eq!(id(Scope::User, Which::Each), Ok("*".to_owned()));
        assert_eq!(id(Scope::User, Which::One("Ann")), Ok("Ann".to_owned()));
        for scope in [Scope::Team, Scope::Key] {
            assert_eq!(id(scope, Which::One(upper)), Ok(lower.to_owned()));
            let wrong = ScopeFault::NotAUuid(scope, "ann".to_owned());
            assert_eq!(id(scope, Which::One("ann")), Err(wrong));
        }
        for which in [Which::Each, Which::One("x"), Which::One("")] {
            let refused = id(Scope::Organization, which);
            assert_eq!(refused, Err(ScopeFault::OrganizationHasNoId));
        }
        for scope in [Scope::Team, Scope::User, Scope::Key] {
            assert_eq!(id(scope, Which::Unnamed), Err(ScopeFault::Unnamed(scope)));
            for reserved in ["", "*"] {
                assert_eq!(id(scope, Which::One(reserved)), Err(ScopeFault::Reserved(scope)));
            }
        }
    }
}
