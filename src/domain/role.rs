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

    /// Whether this role may call a model. Viewers look, platform staff have no tenant to bill.
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
