//! One set of SQL texts for every schema.
//!
//! All SQL texts name the schema `tollgate`, whose tables organizations share. An organization may have a schema of
//! its own in the same database. For that schema the texts are rewritten to name it.

use std::{borrow::Cow, collections::HashMap, fmt, ops::Deref, sync::Arc};

use parking_lot::RwLock;
use uuid::Uuid;

use crate::domain::{ids::OrganizationId, place::Place};

const SHARED: &str = "tollgate";

impl Place {
    /// The schema that the organization's rows are in there.
    pub fn schema(&self, id: OrganizationId) -> Schema {
        match self {
            Self::Row | Self::Database(_) => Schema::SHARED,
            Self::Schema => Schema::of(id),
        }
    }
}

/// The shared schema, or an organization's own. Cheap to clone; clones share the texts.
#[derive(Clone, Default)]
pub struct Schema(Option<Arc<Own>>);

struct Own {
    organization_id: OrganizationId,
    name: String,
    /// Rewritten texts, by their originals: at most as many as the program has statements.
    texts: RwLock<HashMap<&'static str, Arc<str>>>,
}

/// SQL that names the right schema.
pub(super) enum Text {
    Shared(&'static str),
    Own(Arc<str>),
}

impl Schema {
    /// The shared schema `tollgate`.
    pub const SHARED: Self = Self(None);

    /// The organization's own: `tollgate_` and the digits of its id.
    pub fn of(organization_id: OrganizationId) -> Self {
        let name = Place::schema_name(organization_id);
        Self(Some(Arc::new(Own { organization_id, name, texts: RwLock::default() })))
    }

    /// The schema that has this name, if it is one of ours.
    pub fn named(name: &str) -> Option<Self> {
        if name == SHARED {
            return Some(Self::SHARED);
        }
        let digits = name.strip_prefix(SHARED)?.strip_prefix('_')?;
        let schema = Self::of(OrganizationId::new(Uuid::try_parse(digits).ok()?));
        (schema.name() == name).then_some(schema)
    }

    /// Its name, which needs no quotes.
    pub fn name(&self) -> &str {
        self.0.as_deref().map_or(SHARED, |own| &own.name)
    }

    /// The organization whose own schema it is; `None` for the shared one.
    pub fn owner(&self) -> Option<OrganizationId> {
        self.0.as_deref().map(|own| own.organization_id)
    }

    /// A text of the program, rewritten for this schema. Each text is rewritten once.
    pub(super) fn text(&self, sql: &'static str) -> Text {
        let Some(own) = &self.0 else { return Text::Shared(sql) };
        if let Some(text) = own.texts.read().get(sql) {
            return Text::Own(Arc::clone(text));
        }
        let text: Arc<str> = in_schema(sql, &own.name).into();
        let mut texts = own.texts.write();
        Text::Own(Arc::clone(texts.entry(sql).or_insert(text)))
    }

    /// Any text, rewritten for this schema.
    pub(super) fn read<'a>(&self, sql: &'a str) -> Cow<'a, str> {
        match &self.0 {
            None => Cow::Borrowed(sql),
            Some(own) => Cow::Owned(in_schema(sql, &own.name)),
        }
    }
}

impl Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        match self {
            Self::Shared(text) => text,
            Self::Own(text) => text,
        }
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Schema {}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.name()).finish()
    }
}

/// Replaces the schema `tollgate` in `sql` by another one: where it qualifies a name, and where the text means the
/// schema itself. Roles, channels, settings and longer words that begin with `tollgate` stay.
///
/// The checksum of a step is that of its rewritten text, so the result for a released step must never change.
fn in_schema(sql: &str, schema: &str) -> String {
    let mut written = String::with_capacity(sql.len().saturating_add(sql.len() / 4));
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once(SHARED) {
        written.push_str(before);
        let means_schema = if after.starts_with('.') {
            !written.ends_with(is_of_a_word)
        } else {
            (written.ends_with("schema ") && !after.starts_with(is_of_a_word))
                || (written.ends_with('\'') && after.starts_with("'::regnamespace"))
                || (written.ends_with("nspname = '") && after.starts_with('\''))
                || (written.ends_with("schemaname = '") && after.starts_with('\''))
                || (written.ends_with("search_path = ") && after.starts_with(','))
        };
        written.push_str(if means_schema { schema } else { SHARED });
        rest = after;
    }
    written.push_str(rest);
    written
}

fn is_of_a_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
