//! Reads whole rows back: compares each column in the catalog with the expected value.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use uuid::Uuid;

use super::House;

/// What a column must hold.
#[derive(Clone, Debug)]
pub(crate) enum Is {
    Exactly(Value),
    /// A figure of a clock: both ends included.
    Between(i64, i64),
}

/// What every column of a table must hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Columns(BTreeMap<&'static str, Is>);

impl Columns {
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.insert(name, Is::Exactly(value.into()));
        self
    }

    pub(crate) fn between(mut self, name: &'static str, least: i64, most: i64) -> Self {
        self.0.insert(name, Is::Between(least, most));
        self
    }

    pub(crate) fn without(mut self, names: &[&str]) -> Self {
        self.0.retain(|name, _| !names.contains(name));
        self
    }

    fn hold_for(&self, found: &Map<String, Value>) {
        for (name, is) in &self.0 {
            let found = &found[*name];
            match is {
                Is::Exactly(value) => assert_eq!(found, value, "{name}"),
                Is::Between(least, most) => {
                    let figure = found.as_i64();
                    let within = figure.is_some_and(|figure| (*least..=*most).contains(&figure));
                    assert!(within, "{name}: {found} is not from {least} to {most}");
                }
            }
        }
    }
}

impl House {
    /// The only row of an organization in this table has these columns, all of them, and no others. Moments are in
    /// milliseconds since 1970.
    pub(crate) async fn reads_back(&self, table: &str, organization: Uuid, expected: &Columns) {
        let known = "select attname::text, atttypid = 'timestamptz'::regtype from pg_attribute
            where attrelid = $1::text::regclass and attnum > 0 and not attisdropped";
        let known = self.admin.query(known, &[&table]).await.unwrap();
        let mut names = BTreeSet::new();
        let mut read = "to_jsonb(r)".to_owned();
        for column in &known {
            let name: String = column.get(0);
            if column.get(1) {
                let milliseconds = format!("floor(extract(epoch from r.{name}) * 1000)::bigint");
                read.extend([" || jsonb_build_object('", &name, "', ", &milliseconds, ")"]);
            }
            names.insert(name);
        }
        let compared: BTreeSet<_> = expected.0.keys().map(|name| (*name).to_owned()).collect();
        assert_eq!(compared, names, "every column of {table} is compared");

        let row = format!("select ({read})::text from {table} r where organization_id = $1");
        let row = self.admin.query_one(&row, &[&organization]).await.unwrap();
        let found: Map<String, Value> = serde_json::from_str(row.get(0)).unwrap();
        expected.hold_for(&found);
    }
}
