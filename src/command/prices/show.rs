//! `tollgate prices show`.

use std::process::ExitCode;

use super::args::ShowArgs;
use crate::{
    admin::prices::{self, Shown},
    command::{Failure, operator::begin},
    domain::{credits::Credits, instant::rfc3339_micros, price::ModelPrice},
    store::admin::ScheduledPrice,
};

pub(super) async fn run(args: ShowArgs) -> Result<ExitCode, Failure> {
    let ShowArgs { model, org, at, operator } = args;
    let (store, output) = begin(&operator).await?;
    let shown = prices::show(&store, org, model.as_deref(), at.as_ref()).await?;
    output.result(text_of(&shown, model.is_some()), &shown.document())?;
    Ok(ExitCode::SUCCESS)
}

fn text_of(shown: &Shown, whole: bool) -> String {
    let mut lines = Vec::new();
    if shown.agreement.markup_bps() > 0 {
        let markup = hundredths(u64::from(shown.agreement.markup_bps()));
        lines.push(format!("{markup} % are added to list prices."));
    }
    for quote in &shown.quotes {
        let price = quote.price();
        let kind = if shown.is_agreed(quote) { "agreed" } else { &price.provider };
        if whole {
            lines.push(format!("{} ({kind}), price {}", price.model, price.price_id));
            lines.extend(all_rates(price));
        } else {
            lines.push(format!("{} ({kind}): {}", price.model, first_rates(price)));
        }
    }
    if !shown.scheduled.is_empty() {
        lines.push("To come:".to_owned());
    }
    for ScheduledPrice { price, effective_from_micros } in &shown.scheduled {
        let from = rfc3339_micros(*effective_from_micros);
        lines.push(format!("{} from {from} on: {}", price.model, first_rates(price)));
    }
    if lines.is_empty() { "There are no prices yet.".to_owned() } else { lines.join("\n") }
}

/// The input and output rates of the first tier, as short text.
pub(super) fn first_rates(price: &ModelPrice) -> String {
    let Some(tier) = price.tiers.first() else { return "no rates".to_owned() };
    let [input, output] = [tier.rates.input, tier.rates.output].map(Credits::from_nanos);
    let more = if price.tiers.len() > 1 { ", more for longer input" } else { "" };
    format!("input {input}, output {output} dollars per million tokens{more}")
}

fn all_rates(price: &ModelPrice) -> Vec<String> {
    let mut lines: Vec<String> = price
        .tiers
        .iter()
        .map(|tier| {
            let rates = tier.rates.by_class().map(|(class, rate)| {
                format!("{} {}", class.replace('_', " "), Credits::from_nanos(rate))
            });
            let from = match tier.from_input_tokens {
                0 => String::new(),
                from => format!(" from {from} input tokens on"),
            };
            format!("  dollars per million tokens{from}: {}", rates.join(", "))
        })
        .collect();
    if price.per_request > Credits::ZERO {
        lines.push(format!("  and {} dollars per request", price.per_request));
    }
    lines
}

/// `2550` as `25.5`.
fn hundredths(number: u64) -> String {
    let (whole, rest) = (number / 100, number % 100);
    let text = format!("{whole}.{rest:02}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_mark_up_reads_as_percent() {
        for (bps, percent) in [(0, "0"), (1, "0.01"), (2_550, "25.5"), (10_000, "100")] {
            assert_eq!(super::hundredths(bps), percent);
        }
    }
}
