//! Money: integer nano-dollars, and nothing else.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// An amount of money in whole nano-dollars (1e-9 USD). An `i64` reaches 9.2 billion dollars. A call's
/// cost is rounded up to a whole number once; after that all sums are exact.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Credits(i64);

const NANOS_PER_DOLLAR: u64 = 1_000_000_000;

impl Credits {
    /// Zero dollars.
    pub const ZERO: Self = Self(0);
    /// The largest amount. A higher cost is refused; it never wraps around.
    pub const MAX: Self = Self(i64::MAX);

    /// An amount in nano-dollars.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The amount in nano-dollars.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// The sum, or `None` on overflow.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, or `None` on overflow.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Some(Self(difference)),
            None => None,
        }
    }
}

/// Dollars with at most nine decimals: `12`, `0.25`, `-0.000000001`.
impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, nanos) = (magnitude / NANOS_PER_DOLLAR, magnitude % NANOS_PER_DOLLAR);
        if nanos == 0 {
            return write!(f, "{sign}{whole}");
        }
        let decimals = format!("{nanos:09}");
        write!(f, "{sign}{whole}.{}", decimals.trim_end_matches('0'))
    }
}

/// Not an amount in dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseCreditsError {
    /// Something other than digits and one point.
    #[error("not an amount of dollars: write it as 12 or 12.50")]
    Malformed,
    /// More than nine decimals. The amount would have to be rounded, and input is never rounded.
    #[error("finer than a nano-dollar: at most nine decimals")]
    TooFine,
    /// More than 9.2 billion dollars.
    #[error("the amount is too large")]
    TooLarge,
}

impl FromStr for Credits {
    type Err = ParseCreditsError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, decimals) = digits.split_once('.').unwrap_or((digits, "0"));
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !plain(whole) || !plain(decimals) {
            return Err(ParseCreditsError::Malformed);
        }
        let decimals = decimals.trim_end_matches('0');
        if decimals.len() > 9 {
            return Err(ParseCreditsError::TooFine);
        }
        let nanos: i64 =
            format!("{decimals:0<9}").parse().map_err(|_| ParseCreditsError::TooLarge)?;
        let whole: i64 = whole.parse().map_err(|_| ParseCreditsError::TooLarge)?;
        let total = whole
            .checked_mul(1_000_000_000)
            .and_then(|whole| whole.checked_add(nanos))
            .ok_or(ParseCreditsError::TooLarge)?;
        Ok(Self(if negative {
            total.checked_neg().ok_or(ParseCreditsError::TooLarge)?
        } else {
            total
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any amount, often one near a boundary.
    fn nanos() -> impl Strategy<Value = i64> {
        let near = |edge: i64| (-2_i64..=2).prop_map(move |by| edge.saturating_add(by));
        prop_oneof![any::<i64>(), near(i64::MIN), near(0), near(i64::MAX), near(1_000_000_000)]
    }

    proptest! {
        #[test]
        fn a_sum_or_difference_is_exact_or_there_is_none(left in nanos(), right in nanos()) {
            let [a, b] = [left, right].map(Credits::from_nanos);
            let exact = |figure: i128| i64::try_from(figure).ok().map(Credits::from_nanos);
            let [left, right] = [left, right].map(i128::from);
            prop_assert_eq!(a.checked_add(b), exact(left.checked_add(right).unwrap()));
            prop_assert_eq!(a.checked_sub(b), exact(left.checked_sub(right).unwrap()));
        }

        #[test]
        fn every_amount_reads_back_as_it_was_printed_but_for_the_one_without_an_opposite(nanos in nanos()) {
            let printed = Credits::from_nanos(nanos).to_string();
            let read = printed.parse();
            if nanos == i64::MIN {
                prop_assert_eq!(read, Err(ParseCreditsError::TooLarge));
            } else {
                prop_assert_eq!(read, Ok(Credits::from_nanos(nanos)));
            }
        }

        #[test]
        fn an_amount_that_is_read_is_what_was_written(whole in any::<u64>(), nanos in 0_u64..1_000_000_000) {
            let exact = u128::from(whole).checked_mul(1_000_000_000).and_then(|sum| sum.checked_add(u128::from(nanos)));
            let expected = i64::try_from(exact.unwrap()).map(Credits::from_nanos);
            let read = format!("{whole}.{nanos:09}").parse();
            prop_assert_eq!(read, expected.map_err(|_| ParseCreditsError::TooLarge));
        }
    }

    #[test]
    fn an_amount_prints_as_dollars_and_reads_back() {
        for (nanos, text) in [
            (0, "0"),
            (1, "0.000000001"),
            (-1, "-0.000000001"),
            (12_500_000_000, "12.5"),
            (i64::MAX, "9223372036.854775807"),
        ] {
            assert_eq!(Credits::from_nanos(nanos).to_string(), text);
            assert_eq!(text.parse(), Ok(Credits::from_nanos(nanos)));
        }
    }

    #[test]
    fn an_amount_that_is_not_exact_is_refused() {
        assert_eq!("0.0000000001".parse::<Credits>(), Err(ParseCreditsError::TooFine));
        assert_eq!("9223372036.854775808".parse::<Credits>(), Err(ParseCreditsError::TooLarge));
        for text in ["", ".", "1.", ".5", "1e3", "+1", "1,5", "--1", "NaN"] {
            assert_eq!(text.parse::<Credits>(), Err(ParseCreditsError::Malformed), "{text}");
        }
    }
}
