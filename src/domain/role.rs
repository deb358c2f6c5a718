//! What a person may do inside an organization.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A role in an organization, or `platform` for the operator's own staff.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Also handles money and members.
    Owner,
    /// Also configures.
    Admin,
    /// Also calls models and sees its own calls.
    Member,
    /// Reads usage and settings.
    Viewer,
    /// The operator's staff: organizations and aggregates, never tenant data as such.
    Platform,
}

impl Role {
    /// The word used in claims, in SQL and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Viewer => "viewer",
            Self::Platform => "platform",
        }
    }

    /// Whether this role may call a model. Viewers only read, and for platform staff there is no tenant to bill.
    pub const fn may_call(self) -> bool {
        matches!(self, Self::Owner | Self::Admin | Self::Member)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a role: expected owner, admin, member, viewer or platform")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "owner" => Self::Owner,
            "admin" => Self::Admin,
            "member" => Self::Member,
            "viewer" => Self::Viewer,
            "platform" => Self::Platform,
            _ => return Err(UnknownRole),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_one_word_and_only_three_may_call() {
        for (role, word, may_call) in [
            (Role::Owner, "owner", true),
            (Role::Admin, "admin", true),
            (Role::Member, "member", true),
            (Role::Viewer, "viewer", false),
            (Role::Platform, "platform", false),
        ] {
            assert_eq!((role.to_string().as_str(), word.parse()), (word, Ok(role)));
            assert_eq!(role.may_call(), may_call, "{word}");
        }
        for no_role in ["", "Owner", "owner ", "guest"] {
            assert_eq!(no_role.parse::<Role>(), Err(UnknownRole));
        }
    }
}
