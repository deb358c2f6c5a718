//! One organization: what it may do, its account, and the latest of what was written about it.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use super::account::Account;
use crate::{
    context::Tenant,
    domain::{
        finish::{Finish, Finished},
        hold::{HoldRequest, HoldVerdict},
        ids::{RequestId, TeamId},
        policy::Policy,
        role::Role,
        scope::Scope,
    },
    store::Standing,
};

/// A finish as it was written: the usage and the record of one call.
#[derive(Clone, Debug)]
pub struct Written {
    /// Who called.
    pub user_id: String,
    /// The caller's team.
    pub team_id: Option<TeamId>,
    /// What was written.
    pub finish: Arc<Finish>,
}

#[derive(Debug, Default)]
pub(super) struct Organization {
    settings: RwLock<Settings>,
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Settings {
    policy: Arc<Policy>,
    suspended: bool,
    roles: HashMap<Box<str>, Role>,
}

#[derive(Debug, Default)]
struct Books {
    account: Account,
    /// The oldest first.
    written: VecDeque<Written>,
    /// Which calls these are.
    known: HashSet<RequestId>,
}

/// The account of a locked organization.
pub(super) struct AccountGuard<'a>(MutexGuard<'a, Books>);

// With the bodies that a record may keep, one busy organization stays within some megabytes.
const WRITTEN_MAX: usize = 256;

impl Organization {
    pub(super) fn account(&self) -> AccountGuard<'_> {
        AccountGuard(self.books())
    }

    pub(super) fn written(&self) -> Vec<Written> {
        self.books().written.iter().cloned().collect()
    }

    pub(super) fn set_policy(&self, policy: Policy) {
        self.change(|settings| settings.policy = Arc::new(policy));
    }

    pub(super) fn set_suspended(&self, suspended: bool) {
        self.change(|settings| settings.suspended = suspended);
    }

    pub(super) fn set_role(&self, user: &str, role: Role) {
        self.change(|settings| {
            settings.roles.insert(user.into(), role);
        });
    }

    pub(super) fn standing(&self, tenant: &Tenant) -> Standing {
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner);
        let mut policy = Arc::clone(&settings.policy);
        if settings.suspended {
            Arc::make_mut(&mut policy).suspended = true;
        }
        let role = tenant.role().or_else(|| settings.roles.get(tenant.user_id()).copied());
        Standing::under(policy, role)
    }

    pub(super) fn hold(&self, request: &HoldRequest) -> HoldVerdict {
        let budgets = {
            let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner);
            if settings.suspended || settings.policy.suspended {
                return HoldVerdict::Suspended(Scope::Organization);
            }
            settings.policy.budgets
        };
        self.books().account.hold(request, &budgets)
    }

    pub(super) fn finish(&self, tenant: &Tenant, finish: &Arc<Finish>) -> Finished {
        let request_id = finish.request_id;
        let written = Written {
            user_id: tenant.user_id().into(),
            team_id: tenant.team_id(),
            finish: Arc::clone(finish),
        };
        let mut books = self.books();
        if books.known.contains(&request_id) {
            return books.account.replay(request_id);
        }
        let finished = match &finish.settlement {
            Some(settlement) => books.account.settle(request_id, settlement),
            None => Finished::default(),
        };
        if !finished.replayed {
            if books.written.len() >= WRITTEN_MAX
                && let Some(oldest) = books.written.pop_front()
            {
                books.known.remove(&oldest.finish.request_id);
            }
            books.known.insert(request_id);
            books.written.push_back(written);
        }
        finished
    }

    fn change(&self, with: impl FnOnce(&mut Settings)) {
        with(&mut self.settings.write().unwrap_or_else(PoisonError::into_inner));
    }

    // Nothing in here panics half way; a poisoned lock guards whole figures.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::ops::Deref for AccountGuard<'_> {
    type Target = Account;
    fn deref(&self) -> &Account {
        &self.0.account
    }
}

impl std::ops::DerefMut for AccountGuard<'_> {
    fn deref_mut(&mut self) -> &mut Account {
        &mut self.0.account
    }
}
