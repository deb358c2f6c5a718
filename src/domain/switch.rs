//! Kill switches: whose calls each one stops, and whether a caller is stopped.

use std::{collections::HashSet, fmt};

use super::{
    ids::{KeyId, TeamId},
    scope::Scope,
};

/// One kill switch of an organization, named by whose calls it stops. Its state (on or off) is not part of it.
///
/// ```
/// # use tollgate::domain::{scope::Scope, switch::Switch};
/// let switch = Switch::read(Scope::User, "ann").unwrap();
/// assert_eq!((switch.scope(), &*switch.scope_id()), (Scope::User, "ann"));
/// assert!(Switch::read(Scope::Team, "ann").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Switch {
    /// All calls of the organization.
    Organization,
    /// The calls of a team.
    Team(TeamId),
    /// The calls of a person: a token's `sub`.
    User(Box<str>),
    /// The calls of a program's key.
    Key(KeyId),
}

impl Switch {
    /// The longest `sub` of a person, in bytes.
    pub const USER_BYTES_MAX: usize = 512;

    /// The switch for this id in this scope. For the whole organization the id is empty.
    ///
    /// # Errors
    /// No token can carry that id.
    pub fn read(scope: Scope, id: &str) -> Result<Self, NoSuchSwitch> {
        let wrong = |expected| NoSuchSwitch { scope, expected };
        match scope {
            Scope::Organization if id.is_empty() => Ok(Self::Organization),
            Scope::Organization => Err(wrong("no id, because it is the caller's own organization")),
            Scope::Team => id.parse().map(Self::Team).map_err(|_| wrong("a UUID")),
            Scope::Key => id.parse().map(Self::Key).map_err(|_| wrong("a UUID")),
            // Postgres text cannot hold a NUL.
            Scope::User
                if id.is_empty() || id.len() > Self::USER_BYTES_MAX || id.contains('\0') =>
            {
                Err(wrong("the `sub` of a token, at most 512 bytes"))
            }
            Scope::User => Ok(Self::User(id.into())),
        }
    }

    /// The scope that it stops.
    pub const fn scope(&self) -> Scope {
        match self {
            Self::Organization => Scope::Organization,
            Self::Team(_) => Scope::Team,
            Self::User(_) => Scope::User,
            Self::Key(_) => Scope::Key,
        }
    }

    /// The id as tables, claims and paths spell it. Empty for the whole organization.
    pub fn scope_id(&self) -> Box<str> {
        match self {
            Self::Organization => "".into(),
            Self::Team(team) => team.to_string().into(),
            Self::User(user) => user.clone(),
            Self::Key(key) => key.to_string().into(),
        }
    }
}

/// The id is not valid in this scope, so there can be no switch for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a {scope}: expected {expected}")]
pub struct NoSuchSwitch {
    scope: Scope,
    expected: &'static str,
}

/// The kill switches of one organization that are on.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Switches {
    organization: bool,
    teams: HashSet<TeamId>,
    users: HashSet<Box<str>>,
    keys: HashSet<KeyId>,
}

impl Switches {
    /// Turns a switch on.
    pub fn insert(&mut self, switch: Switch) {
        match switch {
            Switch::Organization => self.organization = true,
            Switch::Team(team) => {
                self.teams.insert(team);
            }
            Switch::User(user) => {
                self.users.insert(user);
            }
            Switch::Key(key) => {
                self.keys.insert(key);
            }
        }
    }

    /// Turns a switch off.
    pub fn remove(&mut self, switch: &Switch) {
        match switch {
            Switch::Organization => self.organization = false,
            Switch::Team(team) => {
                self.teams.remove(team);
            }
            Switch::User(user) => {
                self.users.remove(user);
            }
            Switch::Key(key) => {
                self.keys.remove(key);
            }
        }
    }

    /// Whether no switch is on.
    pub fn is_empty(&self) -> bool {
        !self.organization && self.teams.is_empty() && self.users.is_empty() && self.keys.is_empty()
    }

    /// The widest scope in which a caller is stopped, if any.
    pub fn stop(&self, team: Option<TeamId>, user: &str, key: Option<KeyId>) -> Option<Scope> {
        if self.organization {
            Some(Scope::Organization)
        } else if team.is_some_and(|team| self.teams.contains(&team)) {
            Some(Scope::Team)
        } else if self.users.contains(user) {
            Some(Scope::User)
        } else if key.is_some_and(|key| self.keys.contains(&key)) {
            Some(Scope::Key)
        } else {
            None
        }
    }
}

impl FromIterator<Switch> for Switches {
    fn from_iter<I: IntoIterator<Item = Switch>>(switches: I) -> Self {
        let mut all = Self::default();
        for switch in switches {
            all.insert(switch);
        }
        all
    }
}

/// Shows how many switches are on, not for whom: names of people stay out of logs.
impl fmt::Debug for Switches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switches")
            .field("organization", &self.organization)
            .field("teams", &self.teams.len())
            .field("users", &self.users.len())
            .field("keys", &self.keys.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const TEAM: TeamId = TeamId::new(Uuid::from_u128(1));
    const KEY: KeyId = KeyId::new(Uuid::from_u128(2));

    #[test]
    fn a_persons_switch_takes_any_name_that_a_token_may_have_and_no_other() {
        let of = |id: &str| Switch::read(Scope::User, id).map(|switch| switch.scope_id().len());
        assert_eq!(of("ann").unwrap(), 3);
        assert_eq!(of(&"a".repeat(512)).unwrap(), 512);
        for no_name in ["", "a\0b", &*"a".repeat(513)] {
            assert!(of(no_name).is_err(), "{no_name:?}");
        }
    }

    #[test]
    fn each_scope_stops_its_own_and_the_widest_is_named() {
        let mut on = Switches::default();
        let of_ann = |on: &Switches| on.stop(Some(TEAM), "ann", Some(KEY));
        assert_eq!(of_ann(&on), None);
        for (switch, scope) in [
            (Switch::Key(KEY), Scope::Key),
            (Switch::User("ann".into()), Scope::User),
            (Switch::Team(TEAM), Scope::Team),
            (Switch::Organization, Scope::Organization),
        ] {
            on.insert(switch.clone());
            assert_eq!(of_ann(&on), Some(scope));
            let alone = Switches::from_iter([switch]);
            assert_eq!(of_ann(&alone), Some(scope));
            let others = alone.stop(Some(TeamId::new(Uuid::nil())), "bob", None);
            assert_eq!(others, (scope == Scope::Organization).then_some(scope));
        }
        for switch in [Switch::Organization, Switch::Team(TEAM), Switch::User("ann".into())] {
            on.remove(&switch);
        }
        assert_eq!(of_ann(&on), Some(Scope::Key));
        on.remove(&Switch::Key(KEY));
        assert!(on.is_empty());
    }

    #[test]
    fn an_id_is_what_a_token_can_hold_in_one_spelling() {
        let upper = "ABCDEF00-0000-7000-8000-000000000001";
        for scope in [Scope::Team, Scope::Key] {
            let switch = Switch::read(scope, upper).unwrap();
            assert_eq!(*switch.scope_id(), *upper.to_lowercase());
            assert_eq!(Switch::read(scope, &switch.scope_id()), Ok(switch));
            for wrong in ["", "ann", "*"] {
                assert!(Switch::read(scope, wrong).is_err(), "{wrong}");
            }
        }
        assert_eq!(Switch::read(Scope::Organization, ""), Ok(Switch::Organization));
        assert!(Switch::read(Scope::Organization, upper).is_err());
        for wrong in ["", "a\0b", &"x".repeat(513)] {
            assert!(Switch::read(Scope::User, wrong).is_err(), "{wrong:?}");
        }
    }
}
