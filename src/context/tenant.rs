//! Who is calling.

use std::{fmt, sync::Arc};

use http::Request;
use serde_json::{Map, Value};

use crate::domain::{
    ids::{KeyId, OrganizationId, TeamId},
    role::Role,
};

/// Who is calling: the organization, and the person in it, as a verified token says.
///
/// Cheap to clone. Made by `TenantLayer`, or by [`Tenant::new`] if another authenticator stands in
/// front.
#[derive(Clone)]
pub struct Tenant(Arc<Facts>);

struct Facts {
    organization_id: OrganizationId,
    user_id: Box<str>,
    team_id: Option<TeamId>,
    key_id: Option<KeyId>,
    role: Option<Role>,
    claims: Box<str>,
}

/// The facts from a verified token, whichever claims hold them.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// The organization.
    pub organization_id: OrganizationId,
    /// The person.
    pub user_id: &'a str,
    /// The person's team.
    pub team_id: Option<TeamId>,
    /// The key of a program.
    pub key_id: Option<KeyId>,
    /// The person's role.
    pub role: Option<Role>,
}

impl<'a> Identity<'a> {
    /// A person of this organization, without team, key or role.
    pub const fn new(organization_id: OrganizationId, user_id: &'a str) -> Self {
        Self { organization_id, user_id, team_id: None, key_id: None, role: None }
    }
}

impl Tenant {
    /// A tenant that some authenticator has verified.
    pub fn new(organization_id: OrganizationId, user_id: &str) -> Self {
        Self::from_claims(Identity::new(organization_id, user_id), Map::new())
    }

    /// The same tenant in this role.
    #[must_use]
    pub fn with_role(self, role: Role) -> Self {
        Self::from_claims(Identity { role: Some(role), ..self.identity() }, self.payload())
    }

    /// The same tenant in this team.
    #[must_use]
    pub fn with_team(self, team_id: TeamId) -> Self {
        Self::from_claims(Identity { team_id: Some(team_id), ..self.identity() }, self.payload())
    }

    /// The same tenant with this key.
    #[must_use]
    pub fn with_key(self, key_id: KeyId) -> Self {
        Self::from_claims(Identity { key_id: Some(key_id), ..self.identity() }, self.payload())
    }

    /// A tenant with the whole verified payload, which Postgres sees as `request.jwt.claims`.
    ///
    /// The five facts are written into the payload under fixed names (`organization_id`, `sub`,
    /// `team_id`, `key_id`, `role_in_organization`). Row-level security then need not know which claims
    /// the token's issuer uses.
    pub fn from_claims(identity: Identity<'_>, mut payload: Map<String, Value>) -> Self {
        let Identity { organization_id, user_id, team_id, key_id, role } = identity;
        payload.insert("organization_id".into(), organization_id.to_string().into());
        payload.insert("sub".into(), user_id.into());
        let mut optional = |name: &str, value: Option<String>| match value {
            Some(value) => drop(payload.insert(name.into(), value.into())),
            None => drop(payload.remove(name)),
        };
        optional("team_id", team_id.map(|team| team.to_string()));
        optional("key_id", key_id.map(|key| key.to_string()));
        optional("role_in_organization", role.map(|role| role.to_string()));
        let claims = Value::Object(payload).to_string().into();
        let user_id = user_id.into();
        Self(Arc::new(Facts { organization_id, user_id, team_id, key_id, role, claims }))
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

    /// The key of a program, if the token names one.
    pub fn key_id(&self) -> Option<KeyId> {
        self.0.key_id
    }

    /// The person's role, if the token names one. Else the membership table decides.
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

    fn identity(&self) -> Identity<'_> {
        let Facts { organization_id, ref user_id, team_id, key_id, role, .. } = *self.0;
        Identity { organization_id, user_id, team_id, key_id, role }
    }

    fn payload(&self) -> Map<String, Value> {
        serde_json::from_str(&self.0.claims).unwrap_or_default()
    }
}

/// Shows the organization and the person, never the rest of the token.
impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant")
            .field("organization_id", &self.0.organization_id)
            .field("user_id", &self.0.user_id)
            .field("role", &self.0.role)
            .finish_non_exhaustive()
    }
}
