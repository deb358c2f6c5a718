//! A statement of account: the movements of an organization's credits in a window of time, and a check that they add
//! up.

use std::collections::BTreeMap;

use super::{
    credits::Credits,
    ids::{PriceId, RequestId, TeamId},
    usage::Usage,
};

/// A balance of credits, or a change of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// The credits that were paid in and not used up.
    pub posted: Credits,
    /// The part of the posted credits that is held by open calls.
    pub held: Credits,
    /// The credits that are owed.
    pub debt: Credits,
}

impl Amounts {
    /// The sum, or `None` on overflow.
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
    /// The number of the movement in the organization's ledger, without gaps.
    pub seq: i64,
    /// The time of the movement, in microseconds since the Unix epoch.
    pub at_micros: i64,
    /// The day of the movement, in the organization's time zone.
    pub day: String,
    /// `hold`, `settle`, `late_settle`, `release`, `expire`, `grant`.
    pub kind: String,
    /// The call that it is about.
    pub request_id: Option<RequestId>,
    /// The operator's own key of a grant.
    pub reference: Option<String>,
    /// The change of the balance.
    pub change: Amounts,
    /// The balance after the movement.
    pub after: Amounts,
    /// The person who made the call.
    pub user_id: Option<String>,
    /// The caller's team.
    pub team_id: Option<TeamId>,
    /// The usage of the call, once it is known.
    pub used: Option<Used>,
}

/// The usage of a call, and its price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// The model that the caller named.
    pub model: String,
    /// The price.
    pub price_id: Option<PriceId>,
    /// The mark-up on the price, in basis points.
    pub markup_bps: u32,
    /// The tokens.
    pub usage: Usage,
}

impl Line {
    /// The amount that this movement charged for the call, including debt; `None` for a grant.
    pub fn charge(&self) -> Option<Credits> {
        self.request_id?;
        self.change.debt.checked_sub(self.change.posted)
    }

    /// Whether this is a movement of a call that charges nothing: a hold or a release.
    pub fn is_passing(&self) -> bool {
        matches!(self.kind.as_str(), "hold" | "release")
    }

    /// Whether the movement settles a call.
    fn settles(&self) -> bool {
        matches!(self.kind.as_str(), "settle" | "late_settle")
    }
}

/// The movements of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Movements {
    /// How many movements there are.
    pub count: u64,
    /// The sum of their changes.
    pub change: Amounts,
}

/// The total of a model, a person or a team.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Settled calls.
    pub calls: u64,
    /// Their tokens.
    pub usage: Usage,
    /// All charges.
    pub cost: Credits,
}

/// The sums of a statement, updated with each line.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    seq: i64,
    balance: Amounts,
    kinds: BTreeMap<String, Movements>,
    models: BTreeMap<String, Total>,
    users: BTreeMap<String, Total>,
    teams: BTreeMap<String, Total>,
}

/// The ledger does not add up. This is an error in the ledger, not in the request for the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger does not add up at movement {0}")]
pub struct Untied(pub i64);

impl Sums {
    /// Begins after the movement `seq`, with the balance after that movement.
    pub fn opening(seq: i64, balance: Amounts) -> Self {
        Self { seq, balance, ..Self::default() }
    }

    /// Adds the next line.
    ///
    /// # Errors
    /// The line's number is not the next one, or its change does not lead from the balance before to the balance after
    /// it.
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
            // Unknown names get a row, too, so that all groupings have the same sum.
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

    /// Checks that the lines ended at the movement `seq` with this balance.
    ///
    /// # Errors
    /// The lines ended elsewhere.
    pub fn close(&self, seq: i64, balance: Amounts) -> Result<(), Untied> {
        if (self.seq, self.balance) == (seq, balance) { Ok(()) } else { Err(Untied(seq)) }
    }

    /// The movements by kind.
    pub const fn kinds(&self) -> &BTreeMap<String, Movements> {
        &self.kinds
    }

    /// The totals by model. The empty name stands for calls that expired before their usage was known.
    pub const fn models(&self) -> &BTreeMap<String, Total> {
        &self.models
    }

    /// The totals by person. The empty name stands for calls whose person is not known.
    pub const fn users(&self) -> &BTreeMap<String, Total> {
        &self.users
    }

    /// The totals by team. The empty name stands for calls without a team.
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
        // A call that expired has no model, and still counts.
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
