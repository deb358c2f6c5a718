//! Policies.

use serde_json::Value;
use tokio_postgres::types::Type;

use super::{Operator, one, organizations::SHOW};
use crate::{
    domain::{ids::OrganizationId, policy::Policy},
    postgres::{query::Query, rows::column},
    store::{
        StoreError, StoreFuture,
        admin::{PolicyAdmin, PolicyError},
    },
};

const SET_POLICY: Query = Query::new(
    include_str!("../sql/statements/operate/set_policy.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT],
);

impl PolicyAdmin for Operator {
    fn set_policy<'a>(
        &'a self,
        id: OrganizationId,
        policy: &'a Policy,
    ) -> StoreFuture<'a, (), PolicyError> {
        Box::pin(async move {
            let policy = serde_json::to_string(policy)?;
            let none: Option<&str> = None;
            let rows = self.run(id, &SET_POLICY, &[&id.as_uuid(), &policy, &none]).await?;
            Ok(one(&rows).map(drop)?)
        })
    }

    fn patch_policy<'a>(
        &'a self,
        id: OrganizationId,
        patch: &'a Value,
    ) -> StoreFuture<'a, Policy, PolicyError> {
        Box::pin(async move {
            const ATTEMPTS_MAX: usize = 8;
            for _ in 0..ATTEMPTS_MAX {
                let rows = self.run(id, &SHOW, &[&id.as_uuid()]).await?;
                let before: &str = column(one(&rows)?, 3)?;
                let mut document: Value = serde_json::from_str(before)?;
                merge(&mut document, patch);
                let policy = serde_json::from_value::<Policy>(document)?;
                let after = serde_json::to_string(&policy)?;
                let changed =
                    self.any(id, &SET_POLICY, &[&id.as_uuid(), &after, &Some(before)]).await?;
                if !changed.is_empty() {
                    return Ok(policy);
                }
            }
            Err(StoreError::Unavailable("others change this policy at the same time".into()).into())
        })
    }
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(target) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name.as_str()).or_insert(Value::Null), value);
        }
    }
}
