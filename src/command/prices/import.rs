//! `tollgate prices import`.

use std::{borrow::Cow, process::ExitCode};

use super::{args::ImportArgs, read, show::first_rates};
use crate::{
    admin::prices,
    command::{Failure, operator::begin, output::Output},
    domain::{
        price_file::{Format, PriceFile, PriceFileError, built_in},
        price_review::{Change, Review},
    },
    store::admin::{Import, ImportOptions},
};

/// The most entries of each kind in the text for people.
const SHOWN_MAX: usize = 20;

pub(super) async fn run(args: ImportArgs) -> Result<ExitCode, Failure> {
    let output = Output::new(args.operator.json);
    let (parsed, format) = match &args.file {
        None => (Ok(Cow::Borrowed(built_in())), Format::LiteLlm),
        Some(file) => {
            let text = read(file)?;
            let format = args.from.unwrap_or_else(|| Format::of(&text));
            (PriceFile::read(&text, format).map(Cow::Owned), format)
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
        leave_out: format == Format::LiteLlm,
        dry_run: args.dry_run,
    };
    let import = prices::import(&store, &file, &options).await?;
    let document = prices::import_document(&file, &import, args.dry_run);
    output.result(text_of(&file, &import), &document)?;
    let refused = !import.review.objections.is_empty();
    Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Reports a file that cannot be read. None of its prices is imported.
fn unreadable(error: &PriceFileError, output: Output) -> Result<ExitCode, Failure> {
    let mut text = "Refused: the prices in force stay as they are.".to_owned();
    match error {
        PriceFileError::Json(error) => list(&mut text, [error].into_iter(), 1),
        PriceFileError::Fields(faults) => list(&mut text, faults.iter(), faults.len()),
    }
    output.result(text, &prices::unreadable_document(error))?;
    Ok(ExitCode::FAILURE)
}

fn text_of(file: &PriceFile, import: &Import) -> String {
    let Review { changes, unchanged, missing, left_out, objections } = &import.review;
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
    if !left_out.is_empty() {
        let count = format_args!(
            "{} reasons to leave entries out; the prices in force stay:",
            left_out.len()
        );
        write_line(&mut text, count);
        list(&mut text, left_out.iter(), SHOWN_MAX);
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
    match &change.before {
        None => format!("{}: new, {}", change.after.model, first_rates(&change.after)),
        Some(before) => {
            format!(
                "{}: {}, was {}",
                change.after.model,
                first_rates(&change.after),
                first_rates(before)
            )
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
