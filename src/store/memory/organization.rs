//! One organization: its settings, its account, and its latest finishes.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard, RwLock};

use super::account::{Account, OutOfRange};
use crate::{
    context::Tenant,
    domain::{
        finish::{Finish, Finished},
        hold::{HoldRequest, HoldVerdict},
        ids::{KeyId, RequestId, TeamId},
        policy::{Policy, RateLimit, Rates},
        price::Agreement,
        role::Role,
        scope::Scope,
        switch::{Switch, Switches},
    },
    store::Standing,
};

/// A written finish: the usage and the record of one call.
#[derive(Clone, Debug)]
pub struct Written {
    /// Who called.
    pub user_id: String,
    /// The caller's team.
    pub team_id: Option<TeamId>,
    /// The key that the caller's token was given out for.
    pub key_id: Option<KeyId>,
    /// The finish.
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
    agreement: Agreement,
    suspended: bool,
    switches: Switches,
    roles: HashMap<Box<str>, Role>,
    /// By scope, model pattern and id: the order in which callers meet them.
    rates: BTreeMap<(Scope, String, String), Rates>,
}

#[derive(Debug, Default)]
struct Books {
    account: Account,
    /// The oldest first.
    written: VecDeque<Written>,
    /// The calls in `written`.
    known: HashSet<RequestId>,
}

/// The account of a locked organization.
pub(super) struct AccountGuard<'a>(MutexGuard<'a, Books>);

// Records may keep bodies. This bound keeps one busy organization within some megabytes.
const WRITTEN_MAX: usize = 256;

impl Settings {
    /// The limits that apply to a caller, each counted under the caller's own id. A wildcard limit
    /// ([`Scope::EACH`]) applies if the caller has no entry of its own for the same models.
    fn rates_of(&self, tenant: &Tenant) -> Arc<[RateLimit]> {
        let met = self.rates.iter().filter_map(|((scope, pattern, id), rates)| {
            let own = scope_id(*scope, tenant)?;
            let has_own = || self.rates.contains_key(&(*scope, pattern.clone(), own.clone()));
            (*id == own || id == Scope::EACH && !has_own()).then(|| RateLimit {
                scope: *scope,
                scope_id: own.clone(),
                model_pattern: pattern.clone(),
                rates: *rates,
            })
        });
        met.collect()
    }
}

/// The caller's id in a scope, if it has one.
fn scope_id(scope: Scope, tenant: &Tenant) -> Option<String> {
    match scope {
        Scope::Organization => Some(String::new()),
        Scope::Team => tenant.team_id().map(|team| team.to_string()),
        Scope::User => Some(tenant.user_id().to_owned()),
        Scope::Key => tenant.key_id().map(|key| key.to_string()),
    }
}

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

    pub(super) fn set_agreement(&self, agreement: Agreement) {
        self.change(|settings| settings.agreement = agreement);
    }

    pub(super) fn agreement(&self) -> Agreement {
        self.settings.read().agreement.clone()
    }

    pub(super) fn set_suspended(&self, suspended: bool) {
        self.change(|settings| settings.suspended = suspended);
    }

    pub(super) fn set_switch(&self, switch: Switch, on: bool) {
        self.change(|settings| {
            if on {
                settings.switches.insert(switch);
            } else {
                settings.switches.remove(&switch);
            }
        });
    }

    pub(super) fn switches(&self) -> Switches {
        let settings = self.settings.read();
        let mut on = settings.switches.clone();
        if settings.suspended || settings.policy.suspended {
            on.insert(Switch::Organization);
        }
        on
    }

    pub(super) fn set_role(&self, user: &str, role: Role) {
        self.change(|settings| {
            settings.roles.insert(user.into(), role);
        });
    }

    pub(super) fn set_rate_limit(&self, limit: RateLimit) {
        let RateLimit { scope, scope_id, model_pattern, rates } = limit;
        let key = (scope, model_pattern, scope_id);
        self.change(|settings| {
            if rates == Rates::default() {
                settings.rates.remove(&key);
            } else {
                settings.rates.insert(key, rates);
            }
        });
    }

    pub(super) fn standing(&self, tenant: &Tenant) -> Standing {
        let settings = self.settings.read();
        let mut policy = Arc::clone(&settings.policy);
        if settings.suspended {
            Arc::make_mut(&mut policy).suspended = true;
        }
        let role = tenant.role().or_else(|| settings.roles.get(tenant.user_id()).copied());
        let rates = settings.rates_of(tenant);
        let mut standing = Standing { rates, ..Standing::under(policy, role) };
        standing.suspended = standing.suspended.or_else(|| settings.stop(tenant));
        standing
    }

    pub(super) fn hold(&self, tenant: &Tenant, request: &HoldRequest) -> HoldVerdict {
        let budgets = {
            let settings = self.settings.read();
            if settings.suspended || settings.policy.suspended {
                return HoldVerdict::Suspended(Scope::Organization);
            }
            if let Some(scope) = settings.stop(tenant) {
                return HoldVerdict::Suspended(scope);
            }
            settings.policy.budgets
        };
        self.books().account.hold(request, &budgets)
    }

    pub(super) fn finish(
        &self,
        tenant: &Tenant,
        finish: &Arc<Finish>,
    ) -> Result<Finished, OutOfRange> {
        let request_id = finish.request_id;
        let written = Written {
            user_id: tenant.user_id().into(),
            team_id: tenant.team_id(),
            key_id: tenant.key_id(),
            finish: Arc::clone(finish),
        };
        let mut books = self.books();
        if books.known.contains(&request_id) {
            return Ok(books.account.replay(request_id));
        }
        let finished = match &finish.settlement {
            Some(settlement) => books.account.settle(request_id, settlement)?,
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
        Ok(finished)
    }

    fn change(&self, with: impl FnOnce(&mut Settings)) {
        with(&mut self.settings.write());
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock()
    }
}

impl Settings {
    fn stop(&self, tenant: &Tenant) -> Option<Scope> {
        self.switches.stop(tenant.team_id(), tenant.user_id(), tenant.key_id())
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

#[cfg(test)]
mod tests;
