//! Upper bounds of plausible prices. A higher price is a mistake, usually a wrong unit.

use super::{credits::Credits, price::ModelPrice};

/// The highest plausible rate, in nano-dollars per million tokens: a thousand dollars. The highest published price is
/// below it; a higher one has a wrong unit.
pub const RATE_MAX: i64 = 1_000_000_000_000;
/// The highest plausible price per request: ten dollars.
pub const PER_REQUEST_MAX: Credits = Credits::from_nanos(10_000_000_000);
/// The name of the price per request, in lists of classes of tokens.
pub(super) const PER_REQUEST: &str = "per_request";

/// The first class whose price is above its bound.
pub fn implausible(price: &ModelPrice) -> Option<&'static str> {
    let classes = price.tiers.iter().flat_map(|tier| tier.rates.by_class());
    let mut dear = classes.filter(|(_, rate)| *rate > RATE_MAX).map(|(class, _)| class);
    dear.next().or_else(|| (price.per_request > PER_REQUEST_MAX).then_some(PER_REQUEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        ids::PriceId,
        price::{Rates, Tier},
    };

    fn price(input: i64) -> ModelPrice {
        let rates = Rates { input, output: 1, cached_read: input, ..Rates::default() };
        ModelPrice {
            price_id: PriceId::new(uuid::Uuid::new_v4()),
            model: "new".into(),
            provider: "acme".into(),
            mode: "chat".into(),
            per_request: Credits::ZERO,
            tiers: vec![Tier { from_input_tokens: 0, rates }],
            input_tokens_max: None,
            output_tokens_max: None,
        }
    }

    #[test]
    fn the_dearest_price_that_is_believed_is_the_bound_itself() {
        assert_eq!(implausible(&price(RATE_MAX)), None);
        assert_eq!(implausible(&price(RATE_MAX.saturating_add(1))), Some("input"));
        let request = |per_request| ModelPrice { per_request, ..price(1) };
        assert_eq!(implausible(&request(PER_REQUEST_MAX)), None);
        let more = Credits::from_nanos(PER_REQUEST_MAX.nanos().saturating_add(1));
        assert_eq!(implausible(&request(more)), Some(PER_REQUEST));
    }
}
