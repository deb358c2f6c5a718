//! The result of a proof, for people and for machines.

use std::{collections::BTreeSet, fmt};

use serde::Serialize;

use super::checks::CHECKS;

/// One way in which isolation does not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The check's code.
    pub code: &'static str,
    /// The check's name.
    pub name: &'static str,
    /// The object of the database that the finding is about.
    pub object: String,
    /// What is wrong with it.
    pub message: String,
    /// What to do.
    pub remedy: &'static str,
}

/// What was checked, what was found, and what could not be checked.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Proof {
    /// How many tables and partitions the schema has.
    pub tables: usize,
    /// How many policies the schema has.
    pub policies: usize,
    /// How many statements were tried.
    pub probes: usize,
    /// How many function calls were tried.
    pub calls: usize,
    /// How many tables have a canary of each organization.
    pub canaries: usize,
    /// What does not hold.
    pub findings: Vec<Finding>,
    /// What could not be checked by this user, or by this server.
    pub unchecked: BTreeSet<String>,
    #[serde(skip)]
    catalog: bool,
    #[serde(skip)]
    tried: bool,
    #[serde(skip)]
    forged: bool,
}

impl Proof {
    /// Whether nothing was found.
    pub fn holds(&self) -> bool {
        self.findings.is_empty()
    }

    pub(super) fn found(&mut self, code: &str, object: &str, message: impl Into<String>) {
        let Some(check) = CHECKS.iter().find(|check| check.code == code) else { return };
        let finding = Finding {
            code: check.code,
            name: check.name,
            object: object.to_owned(),
            message: message.into(),
            remedy: check.remedy,
        };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// Reports rows that are in the wrong place.
    pub(in crate::postgres) fn stray(&mut self, object: &str, message: String) {
        self.found("P08", object, message);
    }

    /// Reports what this user could not check.
    pub(in crate::postgres) fn not_checked(&mut self, what: &str) {
        self.unchecked(what);
    }

    pub(super) fn unchecked(&mut self, what: impl Into<String>) {
        self.unchecked.insert(what.into());
    }

    pub(super) const fn catalog_was_read(&mut self) {
        self.catalog = true;
    }

    pub(super) const fn roles_were_tried(&mut self) {
        self.tried = true;
    }

    pub(super) const fn claims_were_forged(&mut self) {
        self.forged = true;
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in CHECKS {
            let checked = match check.code {
                "P06" => self.forged,
                code if code.starts_with('C') => self.catalog,
                _ => self.tried,
            };
            if !checked {
                continue;
            }
            let found: Vec<_> =
                self.findings.iter().filter(|finding| finding.code == check.code).collect();
            let mark = if found.is_empty() { "ok " } else { "RED" };
            writeln!(f, "{mark} {} {}", check.code, check.name)?;
            for finding in &found {
                writeln!(f, "      {}: {}", finding.object, finding.message)?;
            }
            if !found.is_empty() {
                writeln!(f, "      → {}", check.remedy)?;
            }
        }
        for what in &self.unchecked {
            writeln!(f, "not checked: {what}")?;
        }
        writeln!(
            f,
            "{} tables and partitions, {} policies, {} canary tables, {} statements and {} calls tried.",
            self.tables, self.policies, self.canaries, self.probes, self.calls
        )?;
        if self.holds() {
            f.write_str("Isolation holds.")
        } else {
            write!(f, "Isolation does NOT hold: {} findings.", self.findings.len())
        }
    }
}
