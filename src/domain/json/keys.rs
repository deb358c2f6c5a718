//! Finds duplicate keys in an object.

use std::{borrow::Cow, collections::HashSet};

use super::JsonError;

/// The keys of all open objects, the outermost first, in one allocation for a whole text. Each key is decoded once,
/// when it is added: if all keys were escapes, decoding them for each comparison took thirty times as long as the
/// reading.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys<'a>(Vec<Cow<'a, str>>);

/// The keys of one open object.
#[derive(Default)]
pub(super) struct Scope<'a> {
    from: usize,
    /// A set for objects with many keys, where comparing every pair would cost too much.
    many: Option<HashSet<Cow<'a, str>>>,
}

/// Up to this many keys, comparing is faster than hashing.
const FEW: usize = 24;

impl<'a> Keys<'a> {
    pub(super) fn open(&self) -> Scope<'a> {
        Scope { from: self.0.len(), many: None }
    }

    pub(super) fn close(&mut self, scope: &Scope<'a>) {
        self.0.truncate(scope.from);
    }

    /// Adds a key to the innermost object.
    pub(super) fn add(
        &mut self,
        scope: &mut Scope<'a>,
        key: Cow<'a, str>,
    ) -> Result<(), JsonError> {
        let seen = self.0.get(scope.from..).unwrap_or_default();
        let known =
            scope.many.as_ref().map_or_else(|| seen.contains(&key), |many| many.contains(&key));
        if known {
            return Err(duplicate(&key));
        }
        match &mut scope.many {
            Some(many) => drop(many.insert(key)),
            None if seen.len() < FEW => self.0.push(key),
            None => drop(scope.many.insert(seen.iter().cloned().collect()).insert(key)),
        }
        Ok(())
    }
}

/// The error that names the key, shortened, because the key is foreign text.
#[cold]
fn duplicate(key: &str) -> JsonError {
    JsonError::DuplicateKey(key.chars().take(64).collect())
}
