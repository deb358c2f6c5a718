//! The line that installs a Postgres server on this system.

use std::fs;

/// The names of systems in `/etc/os-release`, and what installs a server there.
const SYSTEMS: [(&[&str], &str); 5] = [
    (&["debian", "ubuntu"], "apt-get install postgresql"),
    (&["fedora", "rhel", "centos"], "dnf install postgresql-server"),
    (&["alpine"], "apk add postgresql"),
    (&["arch"], "pacman -S postgresql"),
    (&["suse", "opensuse", "sles"], "zypper install postgresql-server"),
];
const MACOS: &str = "brew install postgresql";

/// What to do about a server that is missing on this machine, as a part of a sentence.
pub(super) fn advice() -> String {
    let line = if cfg!(target_os = "macos") {
        Some(MACOS)
    } else {
        // Where systemd's manual says that it may be.
        let release = fs::read_to_string("/etc/os-release")
            .or_else(|_| fs::read_to_string("/usr/lib/os-release"));
        release.ok().and_then(|release| line_for(&release))
    };
    line.map_or_else(|| "with this system's packages".to_owned(), |line| format!("with `{line}`"))
}

/// The line for the system that describes itself so: by its own name first, then by those that it is like.
fn line_for(os_release: &str) -> Option<&'static str> {
    let value = |key: &str| {
        let line = os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(line.trim().trim_matches(['"', '\'']))
    };
    let mut names =
        [value("ID"), value("ID_LIKE")].into_iter().flatten().flat_map(str::split_whitespace);
    names.find_map(known)
}

fn known(name: &str) -> Option<&'static str> {
    SYSTEMS.iter().find_map(|(names, line)| names.contains(&name).then_some(*line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_has_its_line() {
        for (release, line) in [
            ("PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\n", "apt-get install postgresql"),
            ("NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n", "apt-get install postgresql"),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", "apt-get install postgresql"),
            ("ID=fedora\nVERSION_ID=42\n", "dnf install postgresql-server"),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", "dnf install postgresql-server"),
            ("NAME='Alpine Linux'\nID=alpine\n", "apk add postgresql"),
            ("ID=arch\nBUILD_ID=rolling\n", "pacman -S postgresql"),
            ("ID=manjaro\nID_LIKE=arch\n", "pacman -S postgresql"),
            (
                "ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n",
                "zypper install postgresql-server",
            ),
        ] {
            assert_eq!(line_for(release), Some(line), "{release}");
        }
    }

    #[test]
    fn a_system_that_is_not_known_has_none() {
        for release in ["", "ID=plan9\n", "VARIANT_ID=debian\nBUG_ID=debian\n", "ID\n"] {
            assert_eq!(line_for(release), None, "{release}");
        }
    }
}
