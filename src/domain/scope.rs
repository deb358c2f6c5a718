//! Scopes: whom a limit, a budget or a kill switch applies to inside an organization.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Whom a limit, a budget or a kill switch applies to. Rows are locked and switches are read in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The whole organization together.
    Organization,
    /// One of its teams.
    Team,
    /// One of its people: a token's `sub`.
    User,
    /// One of the keys of its programs.
    Key,
}

impl Scope {
    /// All scopes, in their order.
    pub const ALL: [Self; 4] = [Self::Organization, Self::Team, Self::User, Self::Key];
    /// Wildcard id: applies separately to every team, user or key without an entry of its own,
    /// including new ones.
    pub const EACH: &'static str = "*";

    /// The word used in SQL, on the command line and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Team => "team",
            Self::User => "user",
            Self::Key => "key",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a scope: expected organization, team, user or key")]
pub struct UnknownScope;

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(UnknownScope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scope_has_one_word() {
        for (scope, word) in Scope::ALL.into_iter().zip(["organization", "team", "user", "key"]) {
            assert_eq!((scope.to_string().as_str(), word.parse()), (word, Ok(scope)));
        }
        assert_eq!("person".parse::<Scope>(), Err(UnknownScope));
    }
}
