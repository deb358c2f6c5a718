//! Who is calling.

use std::{fmt, sync::Arc};

use http::Request;
use serde_json::{Map, Value};

use crate::domain::{
    ids::{OrganizationId, TeamId},
    role::Role,
};

/// Who is calling: the organization, and the person in it, as a verified token says.
///
/// Cheap to clone. Made by `TenantLayer`, or by [`Tenant::new`] where another authenticator stands
/// in front.
#[derive(Clone)]
pub struct Tenant(Arc<Facts>);

struct Facts {
    organization_id: OrganizationId,
    user_id: Box<str>,
    team_id: Option<TeamId>,
    role: Option<Role>,
    claims: Box<str>,
}

impl Tenant {
    /// A tenant that some authenticator has verified.
    pub fn new(organization_id: OrganizationId, user_id: &str) -> Self {
        Self::from_claims(organization_id, user_id, None, None, Map::new())
    }

    /// The same tenant in this role.
    #[must_use]
    pub fn with_role(self, role: Role) -> Self {
        Self::from_claims(
            self.0.organization_id,
            &self.0.user_id,
            self.0.team_id,
            Some(role),
            self.payload(),
        )
    }

    /// The same tenant in this team.
    #[must_use]
    pub fn with_team(self, team_id: TeamId) -> Self {
        Self::from_claims(
            self.0.organization_id,
            &self.0.user_id,
            Some(team_id),
            self.0.role,
            self.payload(),
        )
    }

    /// A tenant with the whole verified payload, which Postgres will see as `request.jwt.claims`.
    ///
    /// The four facts are written into the payload under fixed names (`organization_id`, `sub`,
    /// `team_id`, `role_in_organization`), wherever the token's issuer keeps them, so that
    /// row-level security reads one spelling.
    pub fn from_claims(
        organization_id: OrganizationId,
        user_id: &str,
        team_id: Option<TeamId>,
        role: Option<Role>,
        mut payload: Map<String, Value>,
    ) -> Self {
        payload.insert("organization_id".into(), organization_id.to_string().into());
        payload.insert("sub".into(), user_id.into());
        let mut optional = |name: &str, value: Option<String>| match value {
            Some(value) => drop(payload.insert(name.into(), value.into())),
            None => drop(payload.remove(name)),
        };
        optional("team_id", team_id.map(|team| team.to_string()));
        optional("role_in_organization", role.map(|role| role.to_string()));
        let claims = Value::Object(payload).to_string().into();
        Self(Arc::new(Facts { organization_id, user_id: user_id.into(), team_id, role, claims }))
    }

    /// The tenant of a request, if a layer further out has put one in.
    pub fn of<B>(request: &Request<B>) -> Option<&Self> {
        request.extensions().get()
    }

    /// The organization.
    pub fn organization_id(&self) -> OrganizationId {
        self.0.organization_id
    }

    /// The person: the token's `sub`.
    pub fn user_id(&self) -> &str {
        &self.0.user_id
    }

    /// The person's team, if the token names one.
    pub fn team_id(&self) -> Option<TeamId> {
        self.0.team_id
    }

    /// The person's role, if the token names one; else the membership table decides.
    pub fn role(&self) -> Option<Role> {
        self.0.role
    }

    /// The claims as JSON: what Postgres sees as `request.jwt.claims`.
    pub fn claims(&self) -> &str {
        &self.0.claims
    }

    /// Whether these are clones of one tenant.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn payload(&self) -> Map<String, Value> {
        serde_json::from_str(&self.0.claims).unwrap_or_default()
    }
}

/// Names the organization and the person, never the rest of the token.
impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant")
            .field("organization_id", &self.0.organization_id)
            .field("user_id", &self.0.user_id)
            .field("role", &self.0.role)
            .finish_non_exhaustive()
    }
}
