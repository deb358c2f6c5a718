//! The files that `tollgate dev` keeps in its data folder besides the database: the demo organizations, and, while it
//! runs, its addresses.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::summary::Summary;
use crate::domain::ids::OrganizationId;

/// The data that must be the same at the next start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The issuer's port. The issuer's address is the tokens' `iss`, so tokens stay valid after a restart.
    pub(super) issuer_port: u16,
    /// The demo organizations.
    pub(super) organizations: Vec<DemoOrganization>,
}

/// A demo organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DemoOrganization {
    pub(super) id: OrganizationId,
    pub(super) name: String,
}

impl Default for Kept {
    fn default() -> Self {
        let organizations = ["Acme", "Globex"].map(|name| DemoOrganization {
            id: OrganizationId::new(Uuid::now_v7()),
            name: name.to_owned(),
        });
        Self { issuer_port: 0, organizations: organizations.into() }
    }
}

/// The data folder.
#[derive(Clone, Debug)]
pub(super) struct DataDir(PathBuf);

impl DataDir {
    /// Opens the folder, and creates it if needed. Other users cannot read it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        Ok(Self(fs::canonicalize(path)?))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn issuer_keys(&self) -> PathBuf {
        self.0.join("issuer.pem")
    }

    /// The data of the last start; the defaults at the first start.
    pub(super) fn kept(&self) -> io::Result<Kept> {
        match fs::read(self.0.join("dev.json")) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidData, format!("dev.json: {error}"))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Kept::default()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn keep(&self, kept: &Kept) -> io::Result<()> {
        self.replace("dev.json", serde_json::to_string_pretty(kept)?.as_bytes())
    }

    /// Writes the addresses to a file for other commands, until the mark is dropped.
    pub(super) fn mark_running(&self, summary: &Summary) -> io::Result<Mark> {
        self.replace(RUNNING, serde_json::to_string(summary)?.as_bytes())?;
        Ok(Mark(self.0.join(RUNNING)))
    }

    /// Replaces a file atomically. Only the owner may read it, because it contains tokens.
    fn replace(&self, name: &str, text: &[u8]) -> io::Result<()> {
        let fresh = self.0.join(format!("{name}.new"));
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(fresh, self.0.join(name))
    }
}

const RUNNING: &str = "running.json";

/// Removes the file with the addresses on drop.
#[derive(Debug)]
pub(super) struct Mark(PathBuf);

impl Drop for Mark {
    fn drop(&mut self) {
        // If the file stays behind, the next command fails to connect and reports that.
        drop(fs::remove_file(&self.0));
    }
}

/// The database of the `tollgate dev` that runs on this data folder, as its administrator.
pub(crate) fn running_database(data_dir: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Running {
        database_url: String,
    }
    let text = fs::read(data_dir.join(RUNNING)).ok()?;
    serde_json::from_slice::<Running>(&text).ok().map(|running| running.database_url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> PathBuf {
        std::env::temp_dir().join(format!("tollgate-place-{}", Uuid::new_v4()))
    }

    #[test]
    fn the_organizations_of_the_first_start_are_those_of_the_second() {
        let path = folder();
        let place = DataDir::open(&path).unwrap();
        let kept = Kept { issuer_port: 4711, ..place.kept().unwrap() };
        place.keep(&kept).unwrap();
        assert_eq!(DataDir::open(&path).unwrap().kept().unwrap(), kept);
        assert_eq!(kept.organizations.len(), 2);
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn where_everything_is_can_be_read_while_it_runs_and_by_nobody_else() {
        use std::os::unix::fs::PermissionsExt;
        let path = folder();
        let place = DataDir::open(&path).unwrap();
        assert_eq!(running_database(&path), None);
        let summary = Summary { database_url: "postgres://here".to_owned(), ..Summary::default() };
        let mark = place.mark_running(&summary).unwrap();
        assert_eq!(running_database(&path).as_deref(), Some("postgres://here"));
        let mode = fs::metadata(path.join(RUNNING)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(mark);
        assert_eq!(running_database(&path), None);
        fs::remove_dir_all(path).unwrap();
    }
}
