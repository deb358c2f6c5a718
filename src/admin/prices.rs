//! List prices: imports new ones, and shows current and scheduled ones.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::problem::Problem;
use crate::{
    domain::{
        ids::OrganizationId,
        instant::{Moment, rfc3339_micros},
        price::{Agreement, ModelPrice, PriceBook, Quote},
        price_file::{PriceFile, PriceFileError},
        price_review::Review,
    },
    store::admin::{
        AgreementAdmin, Import, ImportError, ImportOptions, OrganizationAdmin, PriceAdmin,
        ScheduledPrice,
    },
};

/// The document for a file that cannot be read. None of its prices is imported.
pub(crate) fn unreadable_document(error: &PriceFileError) -> Value {
    let refused: Vec<Value> = match error {
        PriceFileError::Json(error) => vec![json!({"reason": error.to_string()})],
        PriceFileError::Fields(faults) => faults
            .iter()
            .map(|fault| {
                json!({"model": fault.model, "field": fault.field, "reason": fault.problem.to_string()})
            })
            .collect(),
    };
    json!({"ok": false, "refused": refused})
}

/// Puts the prices of a file in force, or returns the objections.
pub(crate) async fn import(
    store: &impl PriceAdmin,
    file: &PriceFile,
    options: &ImportOptions,
) -> Result<Import, Problem> {
    let import = store.import_price_file(file, options).await;
    import.map_err(|error| match error {
        ImportError::Past => Problem::Past,
        ImportError::Store(error) => error.into(),
    })
}

pub(crate) fn import_document(file: &PriceFile, import: &Import, dry_run: bool) -> Value {
    let Review { changes, unchanged, missing, left_out, objections } = &import.review;
    let changes: Vec<Value> = changes
        .iter()
        .map(|change| {
            let before = change.before.as_ref().map(|before| row_document(before));
            json!({"model": change.after.model, "before": before, "after": document(&change.after)})
        })
        .collect();
    let with_reason =
        |model: &str, reason: Option<String>| json!({"model": model, "reason": reason});
    json!({
        "ok": objections.is_empty(),
        "dry_run": dry_run,
        "added": import.added,
        "unchanged": unchanged,
        "changes": changes,
        "skipped": file.skipped.iter()
            .map(|skipped| with_reason(&skipped.model, Some(skipped.reason.to_string()))).collect::<Vec<_>>(),
        "missing": missing.iter()
            .map(|missing| with_reason(&missing.model, missing.skipped.as_ref().map(ToString::to_string))).collect::<Vec<_>>(),
        "left_out": left_out.iter()
            .map(|entry| with_reason(&entry.model, Some(entry.reason.to_string()))).collect::<Vec<_>>(),
        "refused": objections.iter()
            .map(|objection| with_reason(&objection.model, Some(objection.reason.to_string()))).collect::<Vec<_>>(),
    })
}

/// Current and scheduled prices.
#[derive(Debug)]
pub(crate) struct Shown {
    organization: Option<OrganizationId>,
    /// The price of each model, by name. Includes models that only have an organization's own price.
    pub(crate) quotes: Vec<Quote>,
    pub(crate) agreement: Agreement,
    pub(crate) scheduled: Vec<ScheduledPrice>,
}

/// Prices at a moment, or now, of one model or of all. If an organization is named, the prices are those that it pays.
pub(crate) async fn show(
    store: &(impl PriceAdmin + AgreementAdmin + OrganizationAdmin),
    organization: Option<OrganizationId>,
    model: Option<&str>,
    at: Option<&Moment>,
) -> Result<Shown, Problem> {
    let at = at.map(Moment::in_utc);
    let book = store.price_book_at(at.as_deref()).await?;
    let agreement = match organization {
        Some(id) => {
            // Without this check, an unknown organization would look like one without agreements.
            store.organization(id).await.map_err(Problem::of(id))?;
            store.agreement(id, at.as_deref()).await?
        }
        None => Agreement::default(),
    };
    let scheduled = store.scheduled_prices(model).await?;
    let quotes = quotes(&book, &agreement, model);
    match model {
        Some(model) if quotes.is_empty() && scheduled.is_empty() => {
            Err(Problem::NoPrice(model.to_owned()))
        }
        _ => Ok(Shown { organization, quotes, agreement, scheduled }),
    }
}

fn quotes(book: &PriceBook, agreement: &Agreement, model: Option<&str>) -> Vec<Quote> {
    let all = book.iter().chain(agreement.agreed()).map(|price| price.model.as_str());
    let mut names: Vec<&str> = model.map_or_else(|| all.collect(), |model| vec![model]);
    names.sort_unstable();
    names.dedup();
    names.into_iter().filter_map(|name| agreement.quote(book, name)).collect()
}

impl Shown {
    /// Whether a price is the organization's own.
    pub(crate) fn is_agreed(&self, quote: &Quote) -> bool {
        self.agreement.agreed().any(|agreed| Arc::ptr_eq(agreed, quote.price()))
    }

    pub(crate) fn document(&self) -> Value {
        let prices: Vec<Value> = self
            .quotes
            .iter()
            .map(|quote| {
                let mut price = row_document(quote.price());
                if let Some(fields) = price.as_object_mut() {
                    fields.insert("agreed".to_owned(), json!(self.is_agreed(quote)));
                    fields.insert("markup_bps".to_owned(), json!(quote.markup_bps()));
                }
                price
            })
            .collect();
        let scheduled: Vec<Value> = self
            .scheduled
            .iter()
            .map(|to_come| {
                let from = rfc3339_micros(to_come.effective_from_micros);
                json!({"effective_from": from, "price": row_document(&to_come.price)})
            })
            .collect();
        json!({
            "organization_id": self.organization,
            "markup_bps": self.agreement.markup_bps(),
            "prices": prices,
            "scheduled": scheduled,
        })
    }
}

/// The document of a price in the database, with the id of its row.
fn row_document(price: &ModelPrice) -> Value {
    let mut row = document(price);
    if let Some(fields) = row.as_object_mut() {
        fields.insert("price_id".to_owned(), json!(price.price_id));
    }
    row
}

/// The document of a price. Rates are nano-dollars per million tokens.
pub(super) fn document(price: &ModelPrice) -> Value {
    let tiers: Vec<Value> = price
        .tiers
        .iter()
        .map(|tier| {
            let mut rates: Map<String, Value> = tier
                .rates
                .by_class()
                .into_iter()
                .map(|(class, rate)| (class.to_owned(), json!(rate)))
                .collect();
            rates.insert("from_input_tokens".to_owned(), json!(tier.from_input_tokens));
            Value::Object(rates)
        })
        .collect();
    json!({
        "model": price.model,
        "provider": price.provider,
        "mode": price.mode,
        "per_request": price.per_request,
        "tiers": tiers,
        "input_tokens_max": price.input_tokens_max,
        "output_tokens_max": price.output_tokens_max,
    })
}
