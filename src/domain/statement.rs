//! A statement of account: what an organization's credits did in a window of time, and that it adds up.

use std::collections::BTreeMap;

use super::{
    credits::Credits,
    ids::{PriceId, RequestId, TeamId},
    usage::Usage,
};

/// Credits as they stand, or as they change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// What was paid in and not used up.
    pub posted: Credits,
    /// What of it is held by open calls.
    pub held: Credits,
    /// What is owed.
    pub debt: Credits,
}

impl Amounts {
    /// The sum, or `None` where it does not fit.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Some(Self {
            posted: self.posted.checked_add(other.posted)?,
            held: self.held.checked_add(other.held)?,
            debt: self.debt.checked_add(other.debt)?,
        })
    }
}

/// One movement of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its place in the organization's ledger, without gaps.
    pub seq: i64,
    /// When, in microseconds since the Unix epoch.
    pub at_micros: i64,
    /// The day of it, in the organization's time zone.
    pub day: String,
    /// `hold`, `settle`, `late_settle`, `release`, `expire`, `grant`.
    pub kind: String,
    /// The call that it is about.
    pub request_id: Option<RequestId>,
    /// The operator's own key of a grant.
    pub reference: Option<String>,
    /// What it changed.
    pub change: Amounts,
    /// What there was after it.
    pub after: Amounts,
    /// Who called.
    pub user_id: Option<String>,
    /// The caller's team.
    pub team_id: Option<TeamId>,
    /// What the call used, once that is known.
    pub used: Option<Used>,
}

/// What a call used and what it was priced by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// The model that the caller named.
    pub model: String,
    /// The price.
    pub price_id: Option<PriceId>,
    /// The mark-up on it, in basis points.
    pub markup_bps: u32,
    /// The tokens.
    pub usage: Usage,
}

impl Line {
    /// What the call was charged by this movement, debt and all; nothing for a grant.
    pub fn charge(&self) -> Option<Credits> {
        self.request_id?;
        self.change.debt.checked_sub(self.change.posted)
    }

    /// Whether this is a movement that calls come and go by, without a charge.
    pub fn is_passing(&self) -> bool {
        matches!(self.kind.as_str(), "hold" | "release")
    }

    /// Whether a call came to its end by it.
    fn settles(&self) -> bool {
        matches!(self.kind.as_str(), "settle" | "late_settle")
    }
}

/// The movements of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Movements {
    /// How many.
    pub count: u64,
    /// What they changed in all.
    pub change: Amounts,
}

/// What a model, a person or a team comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Settled calls.
    pub calls: u64,
    /// Their tokens.
    pub usage: Usage,
    /// All charges.
    pub cost: Credits,
}

/// The sums of a statement while its lines go by.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    seq: i64,
    balance: Amounts,
    kinds: BTreeMap<String, Movements>,
    models: BTreeMap<String, Total>,
    users: BTreeMap<String, Total>,
    teams: BTreeMap<String, Total>,
}

/// The ledger does not add up: that is a fault of its keeper, not of the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger does not add up at movement {0}")]
pub struct Untied(pub i64);

impl Sums {
    /// Begins after the movement `seq`, with the balance that it left.
    pub fn opening(seq: i64, balance: Amounts) -> Self {
        Self { seq, balance, ..Self::default() }
    }

    /// Takes the next line.
    ///
    /// # Errors
    /// It is not the next one, or does not lead from the balance before it to the one after it.
    pub fn add(&mut self, line: &Line) -> Result<(), Untied> {
        let untied = Untied(line.seq);
        let follows = self.seq.checked_add(1) == Some(line.seq);
        if !follows || self.balance.checked_add(line.change) != Some(line.after) {
            return Err(untied);
        }
        (self.seq, self.balance) = (line.seq, line.after);
        let kind = self.kinds.entry(line.kind.clone()).or_default();
        kind.count = kind.count.saturating_add(1);
        kind.change = kind.change.checked_add(line.change).ok_or(untied)?;
        if line.is_passing() || line.request_id.is_none() {
            return Ok(());
        }
        let cost = line.charge().ok_or(untied)?;
        let model = line.used.as_ref().map(|used| used.model.as_str());
        let team = line.team_id.map(|team| team.to_string());
        let scopes = [
            (&mut self.models, model),
            (&mut self.users, line.user_id.as_deref()),
            (&mut self.teams, team.as_deref()),
        ];
        for (totals, name) in scopes {
            // What nobody knows of is a row too, or the columns would not come to the same sum.
            let total = totals.entry(name.unwrap_or_default().to_owned()).or_default();
            total.cost = total.cost.checked_add(cost).ok_or(untied)?;
            if line.settles() {
                total.calls = total.calls.saturating_add(1);
                let usage = line.used.as_ref().map(|used| used.usage).unwrap_or_default();
                total.usage = sum(total.usage, usage);
            }
        }
        Ok(())
    }

    /// That the lines came to the movement `seq` and this balance.
    ///
    /// # Errors
    /// They did not.
    pub fn close(&self, seq: i64, balance: Amounts) -> Result<(), Untied> {
        if (self.seq, self.balance) == (seq, balance) { Ok(()) } else { Err(Untied(seq)) }
    }

    /// By kind of movement.
    pub const fn kinds(&self) -> &BTreeMap<String, Movements> {
        &self.kinds
    }

    /// By model; the empty name is of calls that expired before their usage was known.
    pub const fn models(&self) -> &BTreeMap<String, Total> {
        &self.models
    }

    /// By person; the empty name is of calls of nobody that is known.
    pub const fn users(&self) -> &BTreeMap<String, Total> {
        &self.users
    }

    /// By team; the empty name is of calls without one.
    pub const fn teams(&self) -> &BTreeMap<String, Total> {
        &self.teams
    }
}

const fn sum(one: Usage, other: Usage) -> Usage {
    Usage {
        input: one.input.saturating_add(other.input),
        cached_read: one.cached_read.saturating_add(other.cached_read),
        cache_write_5m: one.cache_write_5m.saturating_add(other.cache_write_5m),
        cache_write_1h: one.cache_write_1h.saturating_add(other.cache_write_1h),
        output: one.output.saturating_add(other.output),
        reasoning: one.reasoning.saturating_add(other.reasoning),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(posted: i64, held: i64, debt: i64) -> Amounts {
        let [posted, held, debt] = [posted, held, debt].map(Credits::from_nanos);
        Amounts { posted, held, debt }
    }

    fn line(seq: i64, kind: &str, change: Amounts, before: Amounts) -> Line {
        let used = Used {
            model: "small".into(),
            price_id: None,
            markup_bps: 0,
            usage: Usage { input: 3, output: 4, ..Usage::default() },
        };
        Line {
            seq,
            at_micros: 0,
            day: "2026-03-29".into(),
            kind: kind.into(),
            request_id: (kind != "grant").then(RequestId::generate),
            reference: None,
            change,
            after: before.checked_add(change).unwrap(),
            user_id: Some("ann".into()),
            team_id: None,
            used: matches!(kind, "settle" | "late_settle").then_some(used),
        }
    }

    #[test]
    fn a_hold_comes_and_goes_by_and_a_settlement_stays() {
        let none = amounts(0, 0, 0);
        let passing = |kind: &str| line(1, kind, none, none).is_passing();
        assert_eq!(["hold", "release"].map(passing), [true, true]);
        assert_eq!(["settle", "late_settle", "grant", "expire"].map(passing), [false; 4]);
    }

    #[test]
    fn a_statement_adds_up_line_by_line_and_in_every_column() {
        let opening = amounts(100, 0, 0);
        let mut sums = Sums::opening(7, opening);
        let mut balance = opening;
        for (seq, (kind, change)) in [
            ("hold", amounts(0, 60, 0)),
            ("settle", amounts(-45, -60, 0)),
            ("hold", amounts(0, 10, 0)),
            ("release", amounts(0, -10, 0)),
            ("expire", amounts(-5, 0, 0)),
            ("late_settle", amounts(-50, 0, 20)),
            ("grant", amounts(0, 0, -20)),
        ]
        .into_iter()
        .enumerate()
        {
            let line = line(8 + i64::try_from(seq).unwrap(), kind, change, balance);
            balance = line.after;
            sums.add(&line).unwrap();
        }
        assert_eq!(sums.close(14, amounts(0, 0, 0)), Ok(()));
        assert_eq!(sums.close(13, amounts(0, 0, 0)), Err(Untied(13)));
        assert_eq!(sums.close(14, amounts(1, 0, 0)), Err(Untied(14)));
        assert_eq!(sums.kinds()["hold"], Movements { count: 2, change: amounts(0, 70, 0) });
        let small = sums.models()["small"];
        assert_eq!((small.calls, small.usage.input, small.cost.nanos()), (2, 6, 115));
        // What expired had no model yet, and counts all the same.
        assert_eq!((sums.models()[""].calls, sums.models()[""].cost.nanos()), (0, 5));
        for totals in [sums.models(), sums.users(), sums.teams()] {
            assert_eq!(totals.values().map(|total| total.cost.nanos()).sum::<i64>(), 120);
        }
    }

    #[test]
    fn a_gap_or_a_balance_that_does_not_follow_is_found() {
        let opening = amounts(100, 0, 0);
        let hold = line(8, "hold", amounts(0, 60, 0), opening);
        for wrong in [
            Line { seq: 9, ..hold.clone() },
            Line { seq: 7, ..hold.clone() },
            Line { after: amounts(100, 61, 0), ..hold.clone() },
            Line { change: amounts(i64::MAX, 0, 0), ..hold.clone() },
        ] {
            assert_eq!(Sums::opening(7, opening).add(&wrong), Err(Untied(wrong.seq)));
        }
        assert_eq!(Sums::opening(7, opening).add(&hold), Ok(()));
        // Sums at the edge of an i64 are refused and never wrapped.
        let mut sums = Sums::opening(0, amounts(0, 0, 0));
        sums.add(&line(1, "grant", amounts(i64::MAX, 0, 0), amounts(0, 0, 0))).unwrap();
        let used_up = line(2, "settle", amounts(-i64::MAX, 0, 0), amounts(i64::MAX, 0, 0));
        sums.add(&used_up).unwrap();
        sums.add(&line(3, "grant", amounts(1, 0, 0), amounts(0, 0, 0))).unwrap_err();
    }
}
