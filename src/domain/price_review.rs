//! Whether new prices may replace the prices in force: a pure decision about a whole list.
//!
//! By default a list is taken whole or not at all. If it looks like a mistake, it is refused, every suspicious entry is
//! named, and the prices in force stay as they are.

use std::{collections::BTreeSet, fmt, sync::Arc};

use super::{
    credits::Credits,
    price::{ModelPrice, PriceBook},
    price_bounds::{PER_REQUEST, implausible},
    price_file::{PriceFile, SkipReason, is_most},
};

/// A price that changes by more than this factor, up or down, is a jump.
pub const JUMP_FACTOR: i64 = 10;

/// What new prices would change, and the objections to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Review {
    /// The prices that are new or differ from the price in force.
    pub changes: Vec<Change>,
    /// How many prices are the same as in force.
    pub unchanged: usize,
    /// The models with a price in force that the list leaves out.
    pub missing: Vec<Missing>,
    /// The objections whose entries are left out; the prices in force of these models stay.
    pub left_out: Vec<Objection>,
    /// The objections to the list. If there are none, it may be taken.
    pub objections: Vec<Objection>,
}

/// A price that would come into force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The price that it replaces.
    pub before: Option<Arc<ModelPrice>>,
    /// The new price.
    pub after: ModelPrice,
}

/// A model that has a price in force and none in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The model's name.
    pub model: String,
    /// Why the list has no price for the model, if it names the model at all.
    pub skipped: Option<SkipReason>,
}

/// An entry that makes the list look like a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// The model.
    pub model: String,
    /// Why.
    pub reason: Reason,
}

/// Why a list looks like a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// A price changes by more than [`JUMP_FACTOR`], or from or to zero.
    Jump {
        /// Which class of tokens, or `per_request`.
        class: &'static str,
        /// From how many input tokens on.
        from_input_tokens: u64,
        /// In force.
        before: i64,
        /// In the list.
        after: i64,
    },
    /// A price above every plausible one.
    Implausible {
        /// Which class of tokens, or `per_request`.
        class: &'static str,
    },
    /// The model is in use, and the list has no price for it.
    InUse {
        /// Why the list has no price for the model, if it names the model at all.
        skipped: Option<SkipReason>,
    },
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.model, self.reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jump { class, from_input_tokens, before, after } => {
                let [before, after] = [before, after].map(|rate| Credits::from_nanos(*rate));
                let per = if *class == PER_REQUEST { "request" } else { "million tokens" };
                write!(f, "{class} jumps from {before} to {after} USD per {per}")?;
                match from_input_tokens {
                    0 => Ok(()),
                    from => write!(f, ", from {from} input tokens on"),
                }
            }
            Self::Implausible { class } => {
                write!(f, "{class} costs more than any model does: is the unit right?")
            }
            Self::InUse { skipped } => {
                f.write_str("it is in use, and the list has no price for it")?;
                skipped.iter().try_for_each(|reason| write!(f, ": {reason}"))
            }
        }
    }
}

/// Compares a list with the prices in force. With `accept_jumps`, jumps and implausible prices are no objection.
pub fn review(file: &PriceFile, in_force: &PriceBook, accept_jumps: bool) -> Review {
    let mut review = Review::default();
    for price in &file.prices {
        let before = in_force.get(&price.model);
        if before.is_some_and(|before| is_same(before, price)) {
            review.unchanged = review.unchanged.saturating_add(1);
            continue;
        }
        if !accept_jumps {
            let of_model = |reason| Objection { model: price.model.clone(), reason };
            review.objections.extend(doubts(before, price).into_iter().map(of_model));
        }
        review.changes.push(Change { before: before.cloned(), after: price.clone() });
    }
    let priced: BTreeSet<&str> = file.prices.iter().map(|price| price.model.as_str()).collect();
    let skipped = |model: &str| {
        let skipped = file.skipped.iter().find(|skipped| skipped.model == model);
        skipped.map(|skipped| skipped.reason.clone())
    };
    review.missing = in_force
        .iter()
        .filter(|price| !priced.contains(price.model.as_str()))
        .map(|price| Missing { model: price.model.clone(), skipped: skipped(&price.model) })
        .collect();
    review.missing.sort_unstable_by(|one, other| one.model.cmp(&other.model));
    review
}

impl Review {
    /// Objects to every missing model that is in use. If the list is only a `part` of all prices, objects only to
    /// models that it names without a price.
    pub fn object_to_missing(&mut self, in_use: &BTreeSet<String>, part: bool) {
        let dropped = self.missing.iter().filter(|missing| {
            in_use.contains(&missing.model) && (!part || missing.skipped.is_some())
        });
        let objections = dropped.map(|missing| Objection {
            model: missing.model.clone(),
            reason: Reason::InUse { skipped: missing.skipped.clone() },
        });
        self.objections.extend(objections);
    }

    /// Leaves out the entries with an objection, so that their prices in force stay, and takes the rest. This is for
    /// third-party lists, which always have some wrong entries. If most entries are wrong, or the list does not name a
    /// model that is in use, the whole list is a mistake: then nothing is left out and the objections stay.
    pub fn leave_out(&mut self) {
        let named =
            |objection: &Objection| !matches!(objection.reason, Reason::InUse { skipped: None });
        let wrong: BTreeSet<String> =
            self.objections.iter().map(|objection| objection.model.clone()).collect();
        let good = self.changes.iter().filter(|change| !wrong.contains(&change.after.model));
        let all = good.count().saturating_add(self.unchanged).saturating_add(wrong.len());
        if is_most(wrong.len(), all) || !self.objections.iter().all(named) {
            return;
        }
        self.changes.retain(|change| !wrong.contains(&change.after.model));
        self.left_out.append(&mut self.objections);
    }
}

/// Why a new price is probably a mistake.
fn doubts(before: Option<&Arc<ModelPrice>>, price: &ModelPrice) -> Vec<Reason> {
    let jumps = before.into_iter().flat_map(|before| jumps(before, price));
    jumps.chain(implausible(price).map(|class| Reason::Implausible { class })).collect()
}

/// Whether two prices of a model are the same apart from their ids.
fn is_same(one: &ModelPrice, other: &ModelPrice) -> bool {
    ModelPrice { price_id: one.price_id, ..other.clone() } == *one
}

/// The changes by more than [`JUMP_FACTOR`], and from or to zero.
fn jumps(before: &ModelPrice, after: &ModelPrice) -> Vec<Reason> {
    let mut jumps = Vec::new();
    let [was, is] = [before.per_request.nanos(), after.per_request.nanos()];
    if is_jump(was, is) {
        let (class, from_input_tokens) = (PER_REQUEST, 0);
        jumps.push(Reason::Jump { class, from_input_tokens, before: was, after: is });
    }
    // Compare at every length where a tier of either price begins.
    let lengths: BTreeSet<u64> =
        before.tiers.iter().chain(&after.tiers).map(|tier| tier.from_input_tokens).collect();
    for from_input_tokens in lengths {
        let rates = [before, after].map(|price| price.rates_for(from_input_tokens));
        let [Ok(before), Ok(after)] = rates else { continue };
        let classes = before.by_class().into_iter().zip(after.by_class());
        jumps.extend(classes.filter(|((_, was), (_, is))| is_jump(*was, *is)).map(
            |((class, before), (_, after))| Reason::Jump {
                class,
                from_input_tokens,
                before,
                after,
            },
        ));
    }
    jumps
}

fn is_jump(before: i64, after: i64) -> bool {
    let (low, high) = (before.min(after), before.max(after));
    low != high && low.checked_mul(JUMP_FACTOR).is_some_and(|most| high > most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        ids::PriceId,
        price::{Rates, Tier},
        price_bounds::{PER_REQUEST_MAX, RATE_MAX},
        price_file::{Skipped, built_in},
    };

    fn price(model: &str, input: i64, output: i64) -> ModelPrice {
        let rates = Rates { input, output, cached_read: input, ..Rates::default() };
        ModelPrice {
            price_id: PriceId::new(uuid::Uuid::new_v4()),
            model: model.into(),
            provider: "acme".into(),
            mode: "chat".into(),
            per_request: Credits::ZERO,
            tiers: vec![Tier { from_input_tokens: 0, rates }],
            input_tokens_max: None,
            output_tokens_max: None,
        }
    }

    fn file(prices: impl IntoIterator<Item = ModelPrice>) -> PriceFile {
        PriceFile { prices: prices.into_iter().collect(), skipped: Vec::new() }
    }

    fn reasons(review: &Review) -> Vec<String> {
        review.objections.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_as_it_was_is_no_change() {
        let book = PriceBook::new([price("a", 10, 20), price("b", 1, 2)]);
        let seen =
            review(&file([price("a", 10, 20), price("b", 1, 3), price("c", 5, 5)]), &book, false);
        assert_eq!((seen.unchanged, seen.changes.len(), seen.objections.len()), (1, 2, 0));
        assert_eq!(seen.changes[0].before.as_ref().unwrap().tiers[0].rates.output, 2);
        assert_eq!((&seen.changes[1].before, seen.changes[1].after.model.as_str()), (&None, "c"));
        assert!(seen.missing.is_empty());
    }

    #[test]
    fn a_price_may_change_tenfold_and_no_more_unless_somebody_says_so() {
        let book = PriceBook::new([price("a", 1_000_000_000, 2_000_000_000)]);
        for (input, output) in [(10_000_000_000, 200_000_000), (100_000_000, 20_000_000_000)] {
            assert_eq!(reasons(&review(&file([price("a", input, output)]), &book, false)), [""; 0]);
        }
        let up = file([price("a", 10_000_000_001, 2_000_000_000)]);
        assert_eq!(
            reasons(&review(&up, &book, false)),
            [
                "a: input jumps from 1 to 10.000000001 USD per million tokens",
                "a: cached_read jumps from 1 to 10.000000001 USD per million tokens"
            ]
        );
        assert!(review(&up, &book, true).objections.is_empty());
        let down = file([price("a", 1_000_000_000, 199_999_999)]);
        let seen = review(&down, &book, false);
        assert_eq!(
            reasons(&seen),
            ["a: output jumps from 2 to 0.199999999 USD per million tokens"]
        );
        // Any change from or to zero is a jump.
        assert_eq!(review(&file([price("a", 1_000_000_000, 0)]), &book, false).objections.len(), 1);
        let free = PriceBook::new([price("a", 0, 0)]);
        assert_eq!(review(&file([price("a", 1, 1)]), &free, false).objections.len(), 3);
    }

    #[test]
    fn one_wrong_entry_of_other_peoples_list_is_left_out_and_the_others_are_taken() {
        let book = PriceBook::new(["a", "b", "c"].map(|model| price(model, 100, 100)));
        let list = file([price("a", 100, 101), price("b", 100, 102), price("c", 100, 1_001)]);
        let mut seen = review(&list, &book, false);
        assert_eq!((seen.changes.len(), seen.objections.len()), (3, 1));
        seen.leave_out();
        let changed: Vec<_> = seen.changes.iter().map(|change| &*change.after.model).collect();
        assert_eq!((changed, seen.objections.len()), (vec!["a", "b"], 0));
        let left_out: Vec<_> = seen.left_out.iter().map(ToString::to_string).collect();
        assert!(left_out.len() == 1 && left_out[0].starts_with("c: output jumps"), "{left_out:?}");
        // If most entries have objections, the whole list is wrong.
        let list = file([price("a", 100, 101), price("b", 100, 1_001), price("c", 100, 1_001)]);
        let mut seen = review(&list, &book, false);
        seen.leave_out();
        assert_eq!((seen.left_out.len(), seen.objections.len()), (0, 2));
        assert_eq!(review(&list, &book, true).objections, []);
    }

    #[test]
    fn a_jump_hides_neither_in_a_tier_nor_in_the_price_of_a_request() {
        let mut tiered = price("a", 1_000_000_000, 1_000_000_000);
        tiered.tiers.push(Tier {
            from_input_tokens: 200_001,
            rates: Rates { output: 20_000_000_000, ..tiered.tiers[0].rates },
        });
        let book = PriceBook::new([price("a", 1_000_000_000, 1_000_000_000)]);
        let seen = review(&file([tiered.clone()]), &book, false);
        assert_eq!(
            reasons(&seen),
            ["a: output jumps from 1 to 20 USD per million tokens, from 200001 input tokens on"]
        );
        // The same holds if the tier is removed.
        let seen = review(
            &file([price("a", 1_000_000_000, 1_000_000_000)]),
            &PriceBook::new([tiered]),
            false,
        );
        assert_eq!(seen.objections.len(), 1);
        let mut per_request = price("a", 1_000_000_000, 1_000_000_000);
        per_request.per_request = Credits::from_nanos(1);
        let seen = review(&file([per_request]), &book, false);
        assert_eq!(reasons(&seen), ["a: per_request jumps from 0 to 0.000000001 USD per request"]);
    }

    #[test]
    fn a_price_per_token_in_the_place_of_one_per_million_is_noticed() {
        let book = PriceBook::default();
        let seen = review(&file([price("new", RATE_MAX, RATE_MAX + 1)]), &book, false);
        assert_eq!(seen.objections[0].reason, Reason::Implausible { class: "output" });
        // An implausible price is accepted if the operator says so.
        let meant = review(&file([price("new", RATE_MAX, RATE_MAX + 1)]), &book, true);
        assert_eq!((meant.objections.len(), meant.changes.len()), (0, 1));
        assert!(
            review(&file([price("new", RATE_MAX, RATE_MAX)]), &book, false).objections.is_empty()
        );
        let mut dear = price("new", 1, 1);
        dear.per_request = Credits::from_nanos(PER_REQUEST_MAX.nanos() + 1);
        assert_eq!(implausible(&dear), Some("per_request"));
    }

    #[test]
    fn a_model_in_use_does_not_lose_its_price() {
        let book = PriceBook::new(["used", "idle", "zero"].map(|model| price(model, 1, 1)));
        let mut list = file([price("other", 1, 1)]);
        list.skipped.push(Skipped { model: "zero".into(), reason: SkipReason::Zero });
        let in_use = BTreeSet::from(["used", "zero", "other"].map(String::from));
        let seen = review(&list, &book, false);
        let missing: Vec<_> = seen.missing.iter().map(|missing| missing.model.as_str()).collect();
        assert_eq!(missing, ["idle", "used", "zero"]);
        let mut whole = seen.clone();
        whole.object_to_missing(&in_use, false);
        assert_eq!(whole.objections.len(), 2);
        assert!(reasons(&whole)[1].contains("not marked as free"), "{whole:?}");
        // A third-party list that does not name a model in use is not a list of these prices.
        whole.leave_out();
        assert_eq!((whole.objections.len(), whole.left_out.len()), (2, 0));
        let mut list = file([price("used", 1, 1), price("idle", 1, 1)]);
        list.skipped.push(Skipped { model: "zero".into(), reason: SkipReason::Zero });
        let mut one = review(&list, &book, false);
        one.object_to_missing(&in_use, false);
        assert_eq!(one.objections.len(), 1);
        one.leave_out();
        assert_eq!((one.objections.len(), one.left_out.len()), (0, 1), "{one:?}");
        // A part of all prices says nothing about models that it does not name.
        let mut part = seen;
        part.object_to_missing(&in_use, true);
        assert_eq!(part.objections.len(), 1);
    }

    #[test]
    fn the_prices_that_come_with_this_version_may_replace_themselves_and_be_the_first() {
        let file = built_in();
        let first = review(file, &PriceBook::default(), false);
        assert!(first.objections.is_empty(), "{:?}", reasons(&first));
        let again = review(file, &file.book(), false);
        assert_eq!((again.changes.len(), again.objections.len()), (0, 0));
    }
}
