//! Two gateways, a provider, and a server, and everything that they can do next.

use stateright::{Model, Property};

use crate::ledger::{Ledger, Status};

/// A way in which it could have been built wrong. Each must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Flaw {
    LateSettleForgetsTheExpiry,
    FinishIsToldBeforeItIsOnDisk,
    FinishIsNotIdempotent,
    SettlementTakesWhatOthersHold,
    LostHoldIsFree,
    HoldLooksWithoutLock,
    ExpiryKeepsTheCredits,
    ProviderIsCalledFirst,
}

/// Calls with the amounts of their holds, and the credits of their organization.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) amounts: Vec<i8>,
    pub(crate) credits: i8,
    pub(crate) flaw: Option<Flaw>,
}

/// Where a call is, as its gateway knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    New,
    /// Somebody has looked at what is free, and will hold by that.
    Looked(i8),
    Held,
    Refused,
    /// The provider works for it, and this much of it was seen.
    Served(i8),
    /// The provider is done: this is what it costs.
    Ended(i8),
    /// Its client was told that it is over.
    Told(i8),
    /// Its gateway is gone.
    Lost,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// What statements see.
    pub(crate) now: Ledger,
    /// What a crash leaves.
    pub(crate) on_disk: Ledger,
    pub(crate) phases: Vec<Phase>,
    /// For which calls the provider has worked.
    pub(crate) served: Vec<bool>,
    /// Which calls were granted a hold, whatever became of it.
    pub(crate) granted: Vec<bool>,
    crashes_left: u8,
    grants_left: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Look(usize),
    Hold(usize),
    /// The answer to a hold is lost: it is asked for again, and nobody knows whether it stands.
    HoldUnheard(usize),
    Serve(usize),
    See(usize),
    Heartbeat(usize),
    End(usize, i8),
    /// A finish is written, and nobody hears of it.
    Finish(usize),
    /// A finish is written and on disk, and is told.
    FinishAndTell(usize),
    /// Any gateway finds the hold overdue: clocks may say so at any time.
    Expire(usize),
    Flush,
    ServerCrash,
    GatewayCrash(usize),
    Grant,
}

/// Calls are shared by two gateways.
fn gateway_of(call: usize) -> usize {
    call % 2
}

impl World {
    pub(crate) fn of(amounts: &[i8], credits: i8) -> Self {
        Self { amounts: amounts.to_vec(), credits, flaw: None }
    }

    fn phase_actions(&self, call: usize, phase: Phase, actions: &mut Vec<Action>) {
        match phase {
            Phase::New => {
                if self.flaw == Some(Flaw::HoldLooksWithoutLock) {
                    actions.push(Action::Look(call));
                } else {
                    actions.push(Action::Hold(call));
                }
                actions.push(Action::HoldUnheard(call));
                if self.flaw == Some(Flaw::ProviderIsCalledFirst) {
                    actions.push(Action::Serve(call));
                }
            }
            Phase::Looked(_) => actions.push(Action::Hold(call)),
            Phase::Held => actions.push(Action::Serve(call)),
            Phase::Served(seen) => {
                // As much as was held, less, or a provider that counts more than it was asked for.
                for cost in [0, 1, self.amounts[call], self.amounts[call] + 1] {
                    if cost >= seen {
                        actions.push(Action::End(call, cost));
                    }
                }
                if seen < self.amounts[call] {
                    actions.push(Action::See(call));
                }
                if seen > 0 {
                    actions.push(Action::Heartbeat(call));
                }
            }
            Phase::Ended(_) => {
                actions.extend([Action::Finish(call), Action::FinishAndTell(call)]);
            }
            Phase::Refused | Phase::Told(_) | Phase::Lost => {}
        }
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let calls = self.amounts.len();
        let ledger = Ledger::new(self.credits, calls);
        vec![State {
            now: ledger.clone(),
            on_disk: ledger,
            phases: vec![Phase::New; calls],
            served: vec![false; calls],
            granted: vec![false; calls],
            crashes_left: 1,
            grants_left: 1,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (call, phase) in state.phases.iter().enumerate() {
            self.phase_actions(call, *phase, actions);
            if state.now.rows[call].status == Status::Open {
                actions.push(Action::Expire(call));
            }
        }
        if state.now != state.on_disk {
            actions.push(Action::Flush);
        }
        if state.crashes_left > 0 {
            actions.extend([Action::ServerCrash, Action::GatewayCrash(0), Action::GatewayCrash(1)]);
        }
        if state.grants_left > 0 {
            actions.push(Action::Grant);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Look(call) => {
                state.phases[call] = Phase::Looked(state.now.posted - state.now.held);
            }
            Action::Hold(call) => {
                let looked =
                    if let Phase::Looked(free) = state.phases[call] { Some(free) } else { None };
                let granted = state.now.hold(call, self.amounts[call], looked);
                state.granted[call] |= granted;
                state.phases[call] = if granted { Phase::Held } else { Phase::Refused };
            }
            Action::HoldUnheard(call) => {
                state.granted[call] |= state.now.hold(call, self.amounts[call], None);
            }
            Action::Serve(call) => {
                state.phases[call] = Phase::Served(0);
                state.served[call] = true;
            }
            Action::See(call) => {
                let Phase::Served(seen) = state.phases[call] else { return None };
                state.phases[call] = Phase::Served(seen + 1);
            }
            Action::Heartbeat(call) => {
                let Phase::Served(seen) = state.phases[call] else { return None };
                state.now.renew(call, seen);
            }
            Action::End(call, cost) => state.phases[call] = Phase::Ended(cost),
            Action::Finish(call) => {
                let Phase::Ended(cost) = state.phases[call] else { return None };
                state.now.finish(call, cost, self.flaw);
            }
            Action::FinishAndTell(call) => {
                let Phase::Ended(cost) = state.phases[call] else { return None };
                state.now.finish(call, cost, self.flaw);
                if self.flaw != Some(Flaw::FinishIsToldBeforeItIsOnDisk) {
                    state.on_disk = state.now.clone();
                }
                state.phases[call] = Phase::Told(cost);
            }
            Action::Expire(call) => state.now.expire(call, self.flaw),
            Action::Flush => state.on_disk = state.now.clone(),
            Action::ServerCrash => {
                state.crashes_left -= 1;
                state.now = state.on_disk.clone();
            }
            Action::GatewayCrash(gateway) => {
                state.crashes_left -= 1;
                for (call, phase) in state.phases.iter_mut().enumerate() {
                    if gateway_of(call) == gateway && !matches!(phase, Phase::Told(_)) {
                        *phase = Phase::Lost;
                    }
                }
            }
            Action::Grant => {
                state.grants_left -= 1;
                state.now.grant(2);
                // An operator is told when it is on disk.
                state.on_disk = state.now.clone();
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "posted covers held, and neither is below zero",
                |_, state: &State| {
                    [&state.now, &state.on_disk].iter().all(|books| {
                        books.posted >= books.held && books.held >= 0 && books.debt >= 0
                    })
                },
            ),
            Property::always("held is the sum of open holds", |_, state: &State| {
                [&state.now, &state.on_disk].iter().all(|books| {
                    let open = books.rows.iter().filter(|row| row.status == Status::Open);
                    books.held == open.map(|row| row.amount).sum::<i8>()
                })
            }),
            Property::always("the balance is its movements", |_, state: &State| {
                [&state.now, &state.on_disk].iter().all(|books| {
                    let charged: i8 = books.rows.iter().map(|row| row.charged).sum();
                    let owed: i8 = books.rows.iter().map(|row| row.debt).sum();
                    // A grant pays what is owed first.
                    books.granted - charged - owed == books.posted - books.debt
                })
            }),
            Property::always(
                "a call is charged its cost, or its last heartbeat, once",
                |_, state: &State| {
                    state.phases.iter().zip(&state.now.rows).all(|(phase, row)| {
                        let came_to = row.charged + row.debt;
                        match phase {
                            Phase::Ended(cost) | Phase::Told(cost) => {
                                came_to <= (*cost).max(row.used)
                            }
                            Phase::Served(seen) => came_to <= *seen,
                            Phase::New | Phase::Looked(_) | Phase::Held | Phase::Refused => {
                                came_to == 0
                            }
                            Phase::Lost => true,
                        }
                    })
                },
            ),
            Property::always("what was told as written stays written", |_, state: &State| {
                state.phases.iter().zip(&state.now.rows).all(|(phase, row)| {
                    !matches!(phase, Phase::Told(_)) || (row.usage && row.status != Status::Open)
                })
            }),
            Property::always(
                "what was told as written was charged or is owed",
                |_, state: &State| {
                    state.phases.iter().zip(&state.now.rows).all(|(phase, row)| {
                        let Phase::Told(cost) = phase else { return true };
                        !row.usage || row.charged + row.debt >= *cost
                    })
                },
            ),
            Property::always("the provider works for granted holds only", |_, state: &State| {
                state.served.iter().zip(&state.granted).all(|(served, granted)| *granted || !served)
            }),
            Property::sometimes("all calls are told", |_, state: &State| {
                state.phases.iter().any(|phase| matches!(phase, Phase::Told(_)))
            }),
            Property::sometimes("a settlement comes late", |_, state: &State| {
                state.phases.iter().zip(&state.now.rows).any(|(phase, row)| {
                    matches!(phase, Phase::Told(_)) && row.used > 0 && row.charged > row.used
                })
            }),
        ]
    }
}
