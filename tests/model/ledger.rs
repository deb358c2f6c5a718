//! The rows of one organization, and the statements.

use crate::world::Flaw;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Status {
    None,
    Open,
    Settled,
    Expired,
}

/// The hold and the usage row of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) status: Status,
    pub(crate) amount: i8,
    pub(crate) used: i8,
    pub(crate) charged: i8,
    pub(crate) debt: i8,
    pub(crate) usage: bool,
}

/// Everything that is in the database.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ledger {
    pub(crate) posted: i8,
    pub(crate) held: i8,
    pub(crate) debt: i8,
    pub(crate) granted: i8,
    pub(crate) rows: Vec<Row>,
}

impl Ledger {
    pub(crate) fn new(posted: i8, calls: usize) -> Self {
        let row =
            Row { status: Status::None, amount: 0, used: 0, charged: 0, debt: 0, usage: false };
        Self { posted, held: 0, debt: 0, granted: posted, rows: vec![row; calls] }
    }

    /// Whether it is granted. `looked` is what was free where somebody looked before the lock.
    pub(crate) fn hold(&mut self, call: usize, amount: i8, looked: Option<i8>) -> bool {
        let status = self.rows[call].status;
        if status != Status::None {
            return status == Status::Open;
        }
        if self.debt > 0 || looked.unwrap_or(self.posted - self.held) < amount {
            return false;
        }
        self.held += amount;
        self.rows[call] = Row { status: Status::Open, amount, ..self.rows[call] };
        true
    }

    pub(crate) fn renew(&mut self, call: usize, used: i8) {
        let row = &mut self.rows[call];
        if row.status == Status::Open {
            row.used = row.used.max(used);
        }
    }

    pub(crate) fn expire(&mut self, call: usize, flaw: Option<Flaw>) {
        let Row { status, amount, used, .. } = self.rows[call];
        if status != Status::Open {
            return;
        }
        let charged = used.min(self.posted - self.held + amount);
        if flaw != Some(Flaw::ExpiryKeepsTheCredits) {
            self.held -= amount;
        }
        self.take(call, used, charged);
        self.rows[call].status = Status::Expired;
    }

    pub(crate) fn finish(&mut self, call: usize, cost: i8, flaw: Option<Flaw>) {
        let Row { status, amount, charged, debt, usage, .. } = self.rows[call];
        if usage && flaw != Some(Flaw::FinishIsNotIdempotent) {
            return;
        }
        if status == Status::None && flaw == Some(Flaw::LostHoldIsFree) {
            self.rows[call].usage = true;
            return;
        }
        let held = if status == Status::Open { amount } else { 0 };
        let paid = if flaw == Some(Flaw::LateSettleForgetsTheExpiry)
            || (usage && flaw == Some(Flaw::FinishIsNotIdempotent))
        {
            0
        } else {
            charged + debt
        };
        let due = (cost - paid).max(0);
        let free = if flaw == Some(Flaw::SettlementTakesWhatOthersHold) {
            self.posted
        } else {
            self.posted - self.held + held
        };
        self.held -= held;
        self.take(call, due, due.min(free));
        self.rows[call].status = Status::Settled;
        self.rows[call].usage = true;
    }

    pub(crate) fn grant(&mut self, amount: i8) {
        let paid = self.debt.min(amount);
        self.debt -= paid;
        self.posted += amount - paid;
        self.granted += amount;
    }

    /// What is due of a call: so much of it charged, and the rest owed.
    fn take(&mut self, call: usize, due: i8, charged: i8) {
        self.posted -= charged;
        self.debt += due - charged;
        self.rows[call].charged += charged;
        self.rows[call].debt += due - charged;
    }
}
