//! Finds the programs of a Postgres server on this machine.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::ClusterError;

/// Names the folder with `postgres`, `initdb` and `pg_ctl`. If it is set, no other folder is searched.
pub const BIN_VARIABLE: &str = "TOLLGATE_POSTGRES_BIN";

/// The oldest major version that is supported.
pub const MAJOR_MIN: u32 = 15;

const PROGRAMS: [&str; 3] = ["postgres", "initdb", "pg_ctl"];

/// One installation of server programs.
#[derive(Clone, Debug)]
pub(super) struct Binaries {
    folder: PathBuf,
    version: (u32, u32),
}

impl Binaries {
    /// The programs in the named folder, else in the variable's folder, else the newest ones on this machine. If
    /// `major` is given (for a cluster that exists already), the newest ones of that major version.
    pub(super) fn find(explicit: Option<&Path>, major: Option<u32>) -> Result<Self, ClusterError> {
        let named =
            explicit.map(Path::to_owned).or_else(|| env::var_os(BIN_VARIABLE).map(PathBuf::from));
        if let Some(folder) = named {
            let found = Self::at(&folder).ok_or(ClusterError::NoServerAt(folder))?;
            return Self::newest(vec![found], major);
        }
        let found = candidates().iter().filter_map(|folder| Self::at(folder)).collect();
        Self::newest(found, major)
    }

    fn newest(mut found: Vec<Self>, major: Option<u32>) -> Result<Self, ClusterError> {
        found.sort_by_key(|binaries| binaries.version);
        let newest = found.last().map(|binaries| binaries.version.0);
        match (newest, major) {
            (None, _) => Err(ClusterError::NoServer),
            (Some(newest), None) if newest < MAJOR_MIN => Err(ClusterError::TooOld { newest }),
            (Some(newest), Some(major)) => {
                found.retain(|binaries| binaries.version.0 == major);
                found.pop().ok_or(ClusterError::OtherMajor { data: major, newest })
            }
            (Some(_), None) => found.pop().ok_or(ClusterError::NoServer),
        }
    }

    fn at(folder: &Path) -> Option<Self> {
        if !PROGRAMS.iter().all(|program| folder.join(program).is_file()) {
            return None;
        }
        let output = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
        let version = version(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { folder: folder.to_owned(), version })
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) const fn version(&self) -> (u32, u32) {
        self.version
    }
}

/// `postgres (PostgreSQL) 15.14 (Debian …)`, `postgres (PostgreSQL) 18beta1`.
fn version(text: &str) -> Option<(u32, u32)> {
    let (_, tail) = text.split_once("(PostgreSQL) ")?;
    let mut numbers = tail.split(|c: char| !c.is_ascii_digit());
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next().and_then(|digits| digits.parse().ok()).unwrap_or(0);
    Some((major, minor))
}

fn candidates() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    if let Some(path) = env::var_os("PATH") {
        folders.extend(env::split_paths(&path));
    }
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        folders.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    // Debian and Ubuntu; Red Hat, SUSE and PGDG; Homebrew on either processor; Postgres.app.
    folders.extend(inside("/usr/lib/postgresql", "", "bin"));
    folders.extend(inside("/usr", "pgsql-", "bin"));
    folders.extend(inside("/usr/lib", "postgresql", "bin"));
    for brew in ["/opt/homebrew/opt", "/usr/local/opt", "/home/linuxbrew/.linuxbrew/opt"] {
        folders.extend(inside(brew, "postgresql", "bin"));
    }
    folders.extend(inside("/Applications/Postgres.app/Contents/Versions", "", "bin"));
    folders.extend(inside("/usr/libexec", "postgresql", ""));
    folders.extend(
        ["/usr/local/pgsql/bin", "/usr/local/bin", "/usr/bin", "/opt/bitnami/postgresql/bin"]
            .map(PathBuf::from),
    );
    let mut seen = Vec::new();
    folders.retain(|folder| {
        let real = fs::canonicalize(folder).unwrap_or_else(|_| folder.clone());
        let first = !seen.contains(&real);
        seen.push(real);
        first
    });
    folders
}

/// `parent/{prefix…}/leaf` for every entry of `parent`.
fn inside(parent: &str, prefix: &str, leaf: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let fits = |name: &OsStr| name.to_str().is_some_and(|name| name.starts_with(prefix));
    entries
        .flatten()
        .filter(|entry| fits(&entry.file_name()))
        .map(|entry| entry.path().join(leaf))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(versions: &[(u32, u32)]) -> Vec<Binaries> {
        versions.iter().map(|&version| Binaries { folder: PathBuf::new(), version }).collect()
    }

    #[test]
    fn versions_are_read_as_postgres_prints_them() {
        assert_eq!(
            version("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"),
            Some((15, 14))
        );
        assert_eq!(version("postgres (PostgreSQL) 18beta1\n"), Some((18, 0)));
        assert_eq!(version("something else"), None);
    }

    #[test]
    fn the_newest_installation_wins() {
        let newest = Binaries::newest(installed(&[(15, 2), (16, 1), (14, 9)]), None).unwrap();
        assert_eq!(newest.version(), (16, 1));
    }

    #[test]
    fn the_oldest_that_will_do_is_15() {
        let oldest = Binaries::newest(installed(&[(15, 0), (14, 99)]), None).unwrap();
        assert_eq!(oldest.version(), (15, 0));
        let too_old = Binaries::newest(installed(&[(14, 99)]), None);
        assert!(matches!(too_old, Err(ClusterError::TooOld { .. })), "{too_old:?}");
    }

    #[test]
    fn a_cluster_that_exists_is_served_by_its_own_major_version() {
        let same = Binaries::newest(installed(&[(15, 2), (16, 1)]), Some(15)).unwrap();
        assert_eq!(same.version(), (15, 2));
        let other = Binaries::newest(installed(&[(16, 1)]), Some(15)).unwrap_err();
        assert!(other.to_string().contains("15"), "{other}");
    }

    #[test]
    fn without_a_server_the_error_says_what_to_install_or_set() {
        for error in [
            Binaries::newest(Vec::new(), None).unwrap_err(),
            Binaries::newest(installed(&[(12, 1)]), None).unwrap_err(),
            Binaries::find(Some(Path::new("/nowhere/at/all")), None).unwrap_err(),
        ] {
            assert!(error.to_string().contains(BIN_VARIABLE), "{error}");
        }
        let missing = Binaries::newest(Vec::new(), None).unwrap_err().to_string();
        assert!(missing.contains(&super::super::install::advice()), "{missing}");
    }
}
