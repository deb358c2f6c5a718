//! Organizations.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    credits, places,
    problem::{Input, Problem},
};
use crate::{
    domain::{ids::OrganizationId, place::Place},
    store::{
        StoreError, SwitchesOn,
        admin::{Organization, OrganizationAdmin, SwitchAdmin, Whereabouts},
    },
};

/// A request for a new organization.
#[derive(Debug)]
pub(crate) struct NewOrganization {
    /// The id that another system has assigned. `None` assigns a new id.
    pub(crate) id: Option<OrganizationId>,
    pub(crate) name: String,
    pub(crate) time_zone: String,
    pub(crate) place: Place,
}

/// An organization that was created.
#[derive(Debug)]
pub(crate) struct Created {
    pub(crate) id: OrganizationId,
    pub(crate) name: String,
    time_zone: String,
    whereabouts: Whereabouts,
}

pub(crate) async fn create(
    store: &impl OrganizationAdmin,
    new: NewOrganization,
) -> Result<Created, Problem> {
    let NewOrganization { id, name, time_zone, place } = new;
    if name.is_empty() {
        return Err(Input::NoName.into());
    }
    let id = id.unwrap_or_else(|| OrganizationId::new(Uuid::now_v7()));
    let created = store.create(id, &name, &time_zone, &place).await;
    if !created.map_err(|error| places::problem(id, error))? {
        return Err(Problem::OrganizationExists(id));
    }
    let whereabouts = store.whereabouts(id).await.map_err(Problem::of(id))?;
    Ok(Created { id, name, time_zone, whereabouts })
}

impl Created {
    pub(crate) fn document(&self) -> Value {
        json!({
            "organization_id": self.id,
            "name": self.name,
            "time_zone": self.time_zone,
            "placement": places::document(self.id, &self.whereabouts),
        })
    }
}

/// An organization, with the kill switches that are on.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) organization: Organization,
    pub(crate) switches: SwitchesOn,
}

pub(crate) async fn show(
    store: &(impl OrganizationAdmin + SwitchAdmin),
    id: OrganizationId,
) -> Result<Shown, Problem> {
    look(store, id).await.map_err(Problem::of(id))
}

async fn look(
    store: &(impl OrganizationAdmin + SwitchAdmin),
    id: OrganizationId,
) -> Result<Shown, StoreError> {
    Ok(Shown { organization: store.organization(id).await?, switches: store.switches(id).await? })
}

/// An entry in the list of all organizations.
#[derive(Debug)]
pub(crate) enum Listed {
    Shown(Box<Shown>),
    /// The organization's place does not answer. Other places may answer.
    Away {
        id: OrganizationId,
        place: Place,
        error: StoreError,
    },
}

/// All organizations, in order of their ids.
pub(crate) async fn list(
    store: &(impl OrganizationAdmin + SwitchAdmin),
) -> Result<Vec<Listed>, Problem> {
    let mut listed = Vec::new();
    for id in ids(store).await? {
        listed.push(match look(store, id).await {
            Ok(shown) => Listed::Shown(Box::new(shown)),
            Err(error) => {
                let place = store.place_of(id);
                if place == Place::Row {
                    return Err(Problem::of(id)(error));
                }
                Listed::Away { id, place, error }
            }
        });
    }
    Ok(listed)
}

/// The ids of all organizations, in their order.
pub(crate) async fn ids(store: &impl OrganizationAdmin) -> Result<Vec<OrganizationId>, Problem> {
    let mut all = Vec::new();
    loop {
        let after = all.last().copied().unwrap_or(OrganizationId::new(Uuid::nil()));
        let page = store.organizations_after(after).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

impl Shown {
    pub(crate) fn document(&self) -> Value {
        let Self { organization, switches } = self;
        let own: Vec<_> = switches
            .own
            .iter()
            .map(|on| {
                json!({
                    "scope": on.switch.scope(),
                    "scope_id": on.switch.scope_id(),
                    "reason": on.reason,
                    "switched_by": on.switched_by,
                    "switched_at": on.switched_at,
                })
            })
            .collect();
        json!({
            "organization_id": organization.organization_id,
            "name": organization.name,
            "suspended": organization.suspended,
            "suspended_reason": switches.operator_reason,
            "kill_switches": own,
            "time_zone": organization.time_zone,
            "policy": organization.policy,
            "credits": credits::document(&organization.balance),
            "placement": places::document(organization.organization_id, &organization.whereabouts),
        })
    }
}

impl Listed {
    pub(crate) fn document(&self) -> Value {
        match self {
            Self::Shown(shown) => shown.document(),
            Self::Away { id, error, .. } => {
                json!({"organization_id": id, "error": error.to_string()})
            }
        }
    }
}

/// The document of the list.
pub(crate) fn document(listed: &[Listed]) -> Value {
    json!({"organizations": listed.iter().map(Listed::document).collect::<Vec<_>>()})
}
