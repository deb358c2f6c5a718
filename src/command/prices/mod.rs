//! `tollgate prices`: the list, what is agreed with organizations, and bills computed anew.

mod agree;
pub(super) mod args;
mod import;
mod rebill;
mod show;

use std::{fs, path::Path, process::ExitCode};

use serde_json::{Value, json};

use self::args::PricesCommand;
use super::Failure;
use crate::domain::price::ModelPrice;

/// More than any price file has.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

pub(super) async fn run(command: PricesCommand) -> Result<ExitCode, Failure> {
    match command {
        PricesCommand::Import(args) => import::run(args).await,
        PricesCommand::Show(args) => show::run(args).await,
        PricesCommand::SetOverride(args) => agree::set(args).await,
        PricesCommand::EndOverride(args) => agree::end(args).await,
        PricesCommand::Markup(args) => agree::markup(args).await,
        PricesCommand::Rebill(args) => rebill::run(args).await,
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let cannot = |error| Failure::new(format!("cannot read {}: {error}", file.display()));
    let length = fs::metadata(file).map_err(cannot)?.len();
    if length > FILE_BYTES_MAX {
        return Err(Failure::new(format!("{} is too large for a price file", file.display())));
    }
    fs::read(file).map_err(cannot)
}

/// A price that is in the database, with the id of its row.
fn json_of_row(price: &ModelPrice) -> Value {
    let mut row = json_of(price);
    if let Some(fields) = row.as_object_mut() {
        fields.insert("price_id".to_owned(), json!(price.price_id));
    }
    row
}

/// A price as machines get it: nano-dollars per million tokens.
fn json_of(price: &ModelPrice) -> Value {
    let tiers: Vec<Value> = price
        .tiers
        .iter()
        .map(|tier| {
            let mut rates: serde_json::Map<String, Value> = tier
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
