//! `tollgate prices show`.

use std::{process::ExitCode, sync::Arc};

use serde_json::{Value, json};

use super::{args::ShowArgs, json_of_row};
use crate::{
    command::{
        Failure,
        operator::{begin, refused},
    },
    domain::{
        credits::Credits,
        ids::OrganizationId,
        instant::{Moment, rfc3339_micros},
        price::{Agreement, ModelPrice, PriceBook, Quote},
    },
    gateway::DatabaseError,
    store::admin::{AgreementAdmin, OrganizationAdmin, PriceAdmin, ScheduledPrice},
};

pub(super) async fn run(args: ShowArgs) -> Result<ExitCode, Failure> {
    let ShowArgs { model, org, at, operator } = args;
    let (store, output) = begin(&operator).await?;
    let at = at.as_ref().map(Moment::in_utc);
    let fault = DatabaseError::from;
    let book = store.price_book_at(at.as_deref()).await.map_err(fault)?;
    let agreement = match org {
        Some(id) => {
            // An organization that is not there has agreed on nothing.
            store.organization(id).await.map_err(|error| refused(id, error))?;
            store.agreement(id, at.as_deref()).await.map_err(fault)?
        }
        None => Agreement::default(),
    };
    let scheduled = store.scheduled_prices(model.as_deref()).await.map_err(fault)?;
    let quotes = quotes(&book, &agreement, model.as_deref());
    if let (Some(model), true) = (&model, quotes.is_empty() && scheduled.is_empty()) {
        return Err(Failure::new(format!("{model} has no price: calls for it are refused")));
    }
    let one = model.is_some();
    let text = text_of(&quotes, &agreement, &scheduled, one);
    output.result(text, &document(&quotes, &agreement, &scheduled, org))?;
    Ok(ExitCode::SUCCESS)
}

/// What the models cost, by name; of a model of an organization's own too.
fn quotes(book: &PriceBook, agreement: &Agreement, model: Option<&str>) -> Vec<Quote> {
    let all = book.iter().chain(agreement.agreed()).map(|price| price.model.as_str());
    let mut names: Vec<&str> = model.map_or_else(|| all.collect(), |model| vec![model]);
    names.sort_unstable();
    names.dedup();
    names.into_iter().filter_map(|name| agreement.quote(book, name)).collect()
}

/// Whether a price is of an organization's own.
fn is_agreed(quote: &Quote, agreement: &Agreement) -> bool {
    agreement.agreed().any(|agreed| Arc::ptr_eq(agreed, quote.price()))
}

fn text_of(
    quotes: &[Quote],
    agreement: &Agreement,
    scheduled: &[ScheduledPrice],
    whole: bool,
) -> String {
    let mut lines = Vec::new();
    if agreement.markup_bps() > 0 {
        let markup = hundredths(u64::from(agreement.markup_bps()));
        lines.push(format!("{markup} % are added to list prices."));
    }
    for quote in quotes {
        let price = quote.price();
        let kind = if is_agreed(quote, agreement) { "agreed" } else { &price.provider };
        if whole {
            lines.push(format!("{} ({kind}), price {}", price.model, price.price_id));
            lines.extend(all_rates(price));
        } else {
            lines.push(format!("{} ({kind}): {}", price.model, first_rates(price)));
        }
    }
    if !scheduled.is_empty() {
        lines.push("To come:".to_owned());
    }
    for ScheduledPrice { price, effective_from_micros } in scheduled {
        let from = rfc3339_micros(*effective_from_micros);
        lines.push(format!("{} from {from} on: {}", price.model, first_rates(price)));
    }
    if lines.is_empty() { "There are no prices yet.".to_owned() } else { lines.join("\n") }
}

/// Input and output of the first tier, in a few words.
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

fn document(
    quotes: &[Quote],
    agreement: &Agreement,
    scheduled: &[ScheduledPrice],
    organization_id: Option<OrganizationId>,
) -> Value {
    let prices: Vec<Value> = quotes
        .iter()
        .map(|quote| {
            let mut price = json_of_row(quote.price());
            if let Some(fields) = price.as_object_mut() {
                fields.insert("agreed".to_owned(), json!(is_agreed(quote, agreement)));
                fields.insert("markup_bps".to_owned(), json!(quote.markup_bps()));
            }
            price
        })
        .collect();
    let scheduled: Vec<Value> = scheduled
        .iter()
        .map(|to_come| {
            let from = rfc3339_micros(to_come.effective_from_micros);
            json!({"effective_from": from, "price": json_of_row(&to_come.price)})
        })
        .collect();
    json!({
        "organization_id": organization_id,
        "markup_bps": agreement.markup_bps(),
        "prices": prices,
        "scheduled": scheduled,
    })
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
