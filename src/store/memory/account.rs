//! The credits and the budget tokens of one organization. Plain arithmetic under one lock.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use super::calendar::Start;
use crate::{
    domain::{
        credits::Credits,
        finish::{Finished, Settlement},
        hold::{Exceeded, Heartbeat, HoldRequest, HoldVerdict, Unit, Window},
        ids::RequestId,
        policy::Budgets,
        scope::Scope,
    },
    store::StoreError,
};

/// An organization's credits, held credits and debt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// All credits, held ones included.
    pub posted: Credits,
    /// The credits that open holds have set aside.
    pub held: Credits,
    /// The part of settlements that the credits did not cover. The next grant pays it first.
    pub debt: Credits,
}

/// A sum would overflow, or an amount is negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the amount is out of range")]
pub(super) struct OutOfRange;

impl From<OutOfRange> for StoreError {
    fn from(error: OutOfRange) -> Self {
        Self::Refused(error.into())
    }
}

#[derive(Debug, Default)]
pub(super) struct Account {
    posted: i64,
    held: i64,
    debt: i64,
    /// The sums of all movements of `posted` and `debt`, for [`broken`](Self::broken) to compare.
    moved: (i64, i64),
    open: HashMap<RequestId, Open>,
    ended: HashMap<RequestId, Ended>,
    /// The keys of `ended`, oldest first. The oldest is forgotten when there are too many.
    ended_order: VecDeque<RequestId>,
    windows: HashMap<Start, Tokens>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    amount: i64,
    tokens: i64,
    /// When the call arrived, which determines its budget windows.
    arrived_ms: i64,
    expires: Option<Instant>,
    /// The cost by the last heartbeat: the charge if the hold expires.
    used: i64,
    tokens_seen: i64,
}

#[derive(Clone, Copy, Debug)]
struct Ended {
    charged: i64,
    debt: i64,
    tokens: i64,
    finished: bool,
    arrived_ms: i64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tokens {
    used: i64,
    held: i64,
}

const ENDED_MAX: usize = 1_024;
const WINDOWS_MAX: usize = 64;

impl Account {
    pub(super) fn balance(&self) -> Balance {
        let of = Credits::from_nanos;
        Balance { posted: of(self.posted), held: of(self.held), debt: of(self.debt) }
    }

    /// Fails without a change if the amount is negative or the sum overflows.
    pub(super) fn grant(&mut self, amount: Credits) -> Result<Balance, OutOfRange> {
        let amount = amount.nanos();
        let paid = self.debt.min(amount);
        let charged = paid.saturating_sub(amount);
        if amount < 0 || self.posted.checked_sub(charged).is_none() {
            return Err(OutOfRange);
        }
        self.charge(charged, paid.saturating_neg());
        Ok(self.balance())
    }

    pub(super) fn hold(&mut self, request: &HoldRequest, budgets: &Budgets) -> HoldVerdict {
        let (amount, tokens) = (request.amount.nanos(), request.tokens);
        if let Some(open) = self.open.get(&request.request_id) {
            let same = open.amount == amount && open.tokens == tokens;
            return if same { HoldVerdict::Granted } else { HoldVerdict::Conflict };
        }
        if self.ended.contains_key(&request.request_id) || amount < 0 || tokens < 0 {
            return HoldVerdict::Conflict;
        }
        let arrived_ms = request.request_id.arrived_ms();
        let mut refusal = self.refusal(amount, tokens, arrived_ms, budgets);
        if refusal.is_some() && self.expire() > 0 {
            refusal = self.refusal(amount, tokens, arrived_ms, budgets);
        }
        if let Some(refusal) = refusal {
            return refusal;
        }
        self.held = self.held.saturating_add(amount);
        self.move_tokens(arrived_ms, tokens, 0);
        let expires = Instant::now().checked_add(request.ttl);
        let open = Open { amount, tokens, arrived_ms, expires, used: 0, tokens_seen: 0 };
        self.open.insert(request.request_id, open);
        HoldVerdict::Granted
    }

    /// Ends the hold of a call. The caller has made sure that this finish is a new one. Fails without a change if
    /// the debt would overflow.
    pub(super) fn settle(
        &mut self,
        request_id: RequestId,
        settlement: &Settlement,
    ) -> Result<Finished, OutOfRange> {
        let open = self.open.get(&request_id).copied();
        let before = open
            .map(|open| Ended::nothing(open.arrived_ms))
            .or_else(|| self.ended.get(&request_id).copied())
            .unwrap_or_else(|| Ended::nothing(request_id.arrived_ms()));
        if before.finished {
            return Ok(before.told(true));
        }
        let (own, held_tokens) = open.map_or((0, 0), |open| (open.amount, open.tokens));
        let paid = before.charged.saturating_add(before.debt);
        let due = settlement.amount.nanos().saturating_sub(paid).max(0);
        let owed = due.saturating_sub(self.free(own)).max(0);
        if self.debt.checked_add(owed).is_none() {
            return Err(OutOfRange);
        }
        self.open.remove(&request_id);
        self.held = self.held.saturating_sub(own);
        let (charged, debt) = self.take(due);
        let more_tokens = settlement.tokens.saturating_sub(before.tokens).max(0);
        self.move_tokens(before.arrived_ms, held_tokens.saturating_neg(), more_tokens);
        let ended = Ended {
            charged: before.charged.saturating_add(charged),
            debt: before.debt.saturating_add(debt),
            tokens: before.tokens.saturating_add(more_tokens),
            finished: true,
            arrived_ms: before.arrived_ms,
        };
        self.end(request_id, ended);
        Ok(ended.told(false))
    }

    /// The outcome of an earlier finish of this call.
    pub(super) fn replay(&self, request_id: RequestId) -> Finished {
        self.ended
            .get(&request_id)
            .map_or(Finished { replayed: true, ..Finished::default() }, |ended| ended.told(true))
    }

    /// Expires overdue holds and returns how many there were. Each is charged the cost by its last heartbeat.
    pub(super) fn expire(&mut self) -> usize {
        let now = Instant::now();
        let is_overdue = |open: &Open| open.expires.is_some_and(|expires| expires <= now);
        let overdue: Vec<_> = self.open.extract_if(|_, open| is_overdue(open)).collect();
        for (request_id, open) in &overdue {
            self.expire_one(*request_id, *open);
        }
        overdue.len()
    }

    pub(super) fn end_time(&mut self, request_id: RequestId) {
        if let Some(open) = self.open.get_mut(&request_id) {
            open.expires = Some(Instant::now());
        }
    }

    /// Gives back the holds of these calls, which no caller has taken.
    pub(super) fn give_back(&mut self, calls: &[RequestId]) {
        for request_id in calls {
            if let Some(open) = self.open.remove(request_id) {
                self.expire_one(*request_id, open);
            }
        }
    }

    /// Renews open holds and records what was seen of their calls. Returns the calls whose holds are open.
    pub(super) fn renew(&mut self, heartbeats: &[Heartbeat], ttl: Duration) -> Vec<RequestId> {
        let until = Instant::now().checked_add(ttl);
        let mut renewed = Vec::new();
        for Heartbeat { request_id, used, tokens } in heartbeats {
            let Some(open) = self.open.get_mut(request_id) else { continue };
            open.expires = open.expires.zip(until).map(|(before, until)| before.max(until));
            open.used = open.used.max(used.nanos());
            open.tokens_seen = open.tokens_seen.max(*tokens);
            renewed.push(*request_id);
        }
        renewed
    }

    fn expire_one(&mut self, request_id: RequestId, open: Open) {
        self.held = self.held.saturating_sub(open.amount);
        let (charged, debt) = self.take(open.used);
        self.move_tokens(open.arrived_ms, open.tokens.saturating_neg(), open.tokens_seen);
        let tokens = open.tokens_seen;
        let ended = Ended { charged, debt, tokens, ..Ended::nothing(open.arrived_ms) };
        self.end(request_id, ended);
    }

    /// Charges `due` against the free credits, to which the call's own hold has returned by now. The balance never
    /// falls below zero or below what other calls hold. Returns the charge and the debt.
    fn take(&mut self, due: i64) -> (i64, i64) {
        let charged = due.min(self.free(0));
        let debt = due.saturating_sub(charged);
        self.charge(charged, debt);
        (charged, debt)
    }

    /// The credits that no hold has set aside, plus `own`, which the asking call holds.
    fn free(&self, own: i64) -> i64 {
        self.posted.saturating_sub(self.held.saturating_sub(own))
    }

    pub(super) fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut check = |holds: bool, what: &str| {
            if !holds {
                broken.push(format!("{what}: {:?}", self.balance()));
            }
        };
        check(self.posted >= self.held && self.held >= 0 && self.debt >= 0, "bounds");
        check((self.posted, self.debt) == self.moved, "the sum of all movements");
        let sum =
            |figure: fn(&Open) -> i64| self.open.values().map(figure).fold(0, i64::saturating_add);
        check(self.held == sum(|open| open.amount), "the sum of open holds");
        for window in [Window::Day, Window::Month] {
            let of_kind = self.windows.iter().filter(|(start, _)| start.window == window);
            let held = of_kind.map(|(_, tokens)| tokens.held).fold(0, i64::saturating_add);
            check(held == sum(|open| open.tokens), "the tokens of open holds");
        }
        broken
    }

    fn refusal(
        &self,
        amount: i64,
        tokens: i64,
        at_ms: i64,
        budgets: &Budgets,
    ) -> Option<HoldVerdict> {
        let free = self.free(0);
        if self.debt > 0 || free < amount {
            let free = if self.debt > 0 { 0 } else { free };
            let may_wait = self.debt == 0 && self.posted >= amount;
            return Some(HoldVerdict::Insufficient {
                available: Credits::from_nanos(free),
                may_wait,
            });
        }
        // The month first: if both budgets are spent, the call must wait for the end of the month.
        let limits = [(Window::Month, budgets.monthly_tokens), (Window::Day, budgets.daily_tokens)];
        limits.into_iter().find_map(|(window, limit)| {
            let start = Start::of(window, at_ms);
            let Tokens { used, held } = self.windows.get(&start).copied().unwrap_or_default();
            let wanted = used.saturating_add(held).saturating_add(tokens);
            let exceeded = limit.is_some_and(|limit| u64::try_from(wanted).unwrap_or(0) > limit);
            let without_holds = u64::try_from(used.saturating_add(tokens)).unwrap_or(0);
            exceeded.then(|| {
                HoldVerdict::BudgetExceeded(Exceeded {
                    scope: Scope::Organization,
                    window,
                    unit: Unit::Tokens,
                    retry_after: start.left(at_ms),
                    may_wait: limit.is_some_and(|limit| without_holds <= limit),
                })
            })
        })
    }

    fn charge(&mut self, charged: i64, debt: i64) {
        self.posted = self.posted.saturating_sub(charged);
        self.debt = self.debt.saturating_add(debt);
        self.moved.0 = self.moved.0.saturating_sub(charged);
        self.moved.1 = self.moved.1.saturating_add(debt);
    }

    fn move_tokens(&mut self, at_ms: i64, held: i64, used: i64) {
        if held == 0 && used == 0 {
            return;
        }
        if self.windows.len() > WINDOWS_MAX {
            let current = [Window::Day, Window::Month].map(|window| Start::of(window, at_ms));
            self.windows.retain(|start, tokens| tokens.held > 0 || current.contains(start));
        }
        for window in [Window::Day, Window::Month] {
            let tokens = self.windows.entry(Start::of(window, at_ms)).or_default();
            tokens.held = tokens.held.saturating_add(held);
            tokens.used = tokens.used.saturating_add(used);
        }
    }

    fn end(&mut self, request_id: RequestId, ended: Ended) {
        if self.ended.insert(request_id, ended).is_none() {
            self.ended_order.push_back(request_id);
        }
        if self.ended_order.len() > ENDED_MAX
            && let Some(oldest) = self.ended_order.pop_front()
        {
            self.ended.remove(&oldest);
        }
    }
}

impl Ended {
    const fn nothing(arrived_ms: i64) -> Self {
        Self { charged: 0, debt: 0, tokens: 0, finished: false, arrived_ms }
    }

    const fn told(self, replayed: bool) -> Finished {
        Finished {
            charged: Credits::from_nanos(self.charged),
            debt: Credits::from_nanos(self.debt),
            replayed,
        }
    }
}

#[cfg(test)]
mod tests;
