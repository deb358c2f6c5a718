//! `tollgate prices import`.

use std::{borrow::Cow, process::ExitCode};

use serde_json::{Value, json};

use super::{args::ImportArgs, json_of, json_of_row, read};
use crate::{
    command::{Failure, operator::begin, output::Output},
    domain::{
        price_file::{Format, PriceFile, PriceFileError, built_in},
        price_review::{Change, Review},
    },
    gateway::DatabaseError,
    store::admin::{Import, ImportError, ImportOptions, PriceAdmin},
};

/// Entries that a person is shown of each kind.
const SHOWN_MAX: usize = 20;

pub(super) async fn run(args: ImportArgs) -> Result<ExitCode, Failure> {
    let output = Output::new(args.operator.json);
    let parsed = match &args.file {
        None => Ok(Cow::Borrowed(built_in())),
        Some(file) => {
            let json = read(file)?;
            let format = args.from.unwrap_or_else(|| Format::of(&json));
            PriceFile::read(&json, format).map(Cow::Owned)
        }
    };
    let file = match parsed {
        Ok(file) => file,
        Err(error) => return unreadable(&error, output),
    };
    let (store, output) = begin(&args.operator).await?;
    let options = ImportOptions {
        effective_from: args.effective_from,
        accept_jumps: args.accept_jumps,
        part: args.partial,
        dry_run: args.dry_run,
    };
    let import = store.import_price_file(&file, &options).await;
    let import = import.map_err(|error| match error {
        ImportError::Store(error) => DatabaseError::from(error).into(),
        ImportError::Past => {
            Failure::new("--effective-from is past: calls have been settled by other prices since")
        }
    })?;
    output.result(text_of(&file, &import), &json_of_import(&file, &import, args.dry_run))?;
    let refused = !import.review.objections.is_empty();
    Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Not one of its prices is taken.
fn unreadable(error: &PriceFileError, output: Output) -> Result<ExitCode, Failure> {
    let refused: Vec<Value> = match error {
        PriceFileError::Json(error) => vec![json!({"reason": error.to_string()})],
        PriceFileError::Fields(faults) => faults
            .iter()
            .map(|fault| {
                json!({"model": fault.model, "field": fault.field, "reason": fault.problem.to_string()})
            })
            .collect(),
    };
    let mut text = "Refused: the prices in force stay as they are.".to_owned();
    match error {
        PriceFileError::Json(error) => list(&mut text, [error].into_iter(), 1),
        PriceFileError::Fields(faults) => list(&mut text, faults.iter(), faults.len()),
    }
    output.result(text, &json!({"ok": false, "refused": refused}))?;
    Ok(ExitCode::FAILURE)
}

fn text_of(file: &PriceFile, import: &Import) -> String {
    let Review { changes, unchanged, missing, objections } = &import.review;
    let mut text = match import.added {
        _ if !objections.is_empty() => {
            let mut text = "Refused: the prices in force stay as they are.".to_owned();
            list(&mut text, objections.iter(), objections.len());
            return text;
        }
        None => {
            format!("{} prices would be added; {unchanged} are in force already.", changes.len())
        }
        Some(added) => format!("{added} prices were added; {unchanged} were in force already."),
    };
    if changes.len() <= SHOWN_MAX {
        list(&mut text, changes.iter().map(describe), SHOWN_MAX);
    }
    if !file.skipped.is_empty() {
        write_line(&mut text, format_args!("{} models have no price:", file.skipped.len()));
        let skipped = file.skipped.iter();
        list(
            &mut text,
            skipped.map(|skipped| format!("{}: {}", skipped.model, skipped.reason)),
            SHOWN_MAX,
        );
    }
    if !missing.is_empty() {
        let kept =
            format_args!("{} models are not priced here and keep their prices:", missing.len());
        write_line(&mut text, kept);
        list(&mut text, missing.iter().map(|missing| &missing.model), SHOWN_MAX);
    }
    text
}

fn describe(change: &Change) -> String {
    let rates = |price: &crate::domain::price::ModelPrice| super::show::first_rates(price);
    match &change.before {
        None => format!("{}: new, {}", change.after.model, rates(&change.after)),
        Some(before) => {
            format!("{}: {}, was {}", change.after.model, rates(&change.after), rates(before))
        }
    }
}

fn list(text: &mut String, entries: impl Iterator<Item = impl std::fmt::Display>, max: usize) {
    let mut entries = entries.peekable();
    for entry in entries.by_ref().take(max) {
        write_line(text, format_args!("  {entry}"));
    }
    let more = entries.count();
    if more > 0 {
        write_line(text, format_args!("  and {more} more (--json has all of them)"));
    }
}

fn write_line(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.push('\n');
    text.push_str(&line.to_string());
}

fn json_of_import(file: &PriceFile, import: &Import, dry_run: bool) -> Value {
    let Review { changes, unchanged, missing, objections } = &import.review;
    let changes: Vec<Value> = changes
        .iter()
        .map(|change| {
            let before = change.before.as_ref().map(|before| json_of_row(before));
            json!({"model": change.after.model, "before": before, "after": json_of(&change.after)})
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
            .map(|missing| with_reason(&missing.model, missing.skipped.map(|reason| reason.to_string()))).collect::<Vec<_>>(),
        "refused": objections.iter()
            .map(|objection| with_reason(&objection.model, Some(objection.reason.to_string()))).collect::<Vec<_>>(),
    })
}
