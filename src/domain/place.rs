//! Where an organization's rows are, as a type and in words.

use std::{fmt, str::FromStr};

use super::ids::OrganizationId;

const DATABASE: &str = "database:";

/// Where the rows of an organization are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the tables that organizations share, in the main database.
    #[default]
    Row,
    /// In a schema of its own in the main database.
    Schema,
    /// In the database that has this name in the configuration.
    Database(String),
}

impl Place {
    /// The kind of place: `row`, `schema` or `database`.
    pub const fn placement(&self) -> &'static str {
        match self {
            Self::Row => "row",
            Self::Schema => "schema",
            Self::Database(_) => "database",
        }
    }

    /// The name of the place in the directory: the name of the schema or of the database.
    pub fn name(&self, id: OrganizationId) -> Option<String> {
        match self {
            Self::Row => None,
            Self::Schema => Some(Self::schema_name(id)),
            Self::Database(name) => Some(name.clone()),
        }
    }

    /// The name of an organization's own schema: `tollgate_` and the digits of its id.
    pub fn schema_name(id: OrganizationId) -> String {
        format!("tollgate_{}", id.as_uuid().simple())
    }

    /// Reads the columns of the directory; `None` for a kind of place that this program does not know.
    pub fn from_directory(placement: &str, name: Option<String>) -> Option<Self> {
        match (placement, name) {
            ("row", None) => Some(Self::Row),
            ("schema", Some(_)) => Some(Self::Schema),
            ("database", Some(name)) => Some(Self::Database(name)),
            _ => None,
        }
    }
}

/// Writes `row`, `schema`, or `database:` and its name.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row | Self::Schema => f.write_str(self.placement()),
            Self::Database(name) => write!(f, "{DATABASE}{name}"),
        }
    }
}

/// The text is not the name of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a place: expected row, schema, or database: and its name")]
pub struct UnknownPlace;

impl FromStr for Place {
    type Err = UnknownPlace;
    fn from_str(text: &str) -> Result<Self, UnknownPlace> {
        match text {
            "row" => Ok(Self::Row),
            "schema" => Ok(Self::Schema),
            _ => match text.strip_prefix(DATABASE) {
                Some(name) if !name.is_empty() => Ok(Self::Database(name.to_owned())),
                _ => Err(UnknownPlace),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        for place in [Place::Row, Place::Schema, Place::Database("big".to_owned())] {
            assert_eq!(place.to_string().parse(), Ok(place.clone()));
            let id = OrganizationId::new(uuid::Uuid::now_v7());
            let read = Place::from_directory(place.placement(), place.name(id));
            assert_eq!(read, Some(place));
        }
        for other in ["", "rows", "database", "database:", "elsewhere"] {
            assert_eq!(other.parse::<Place>(), Err(UnknownPlace), "{other}");
        }
        assert_eq!(Place::from_directory("elsewhere", None), None);
    }
}
