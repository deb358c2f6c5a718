//! `tollgate prices set-override`, `end-override` and `markup`.

use std::process::ExitCode;

use serde_json::json;

use super::{
    args::{EndOverrideArgs, MarkupArgs, RateArgs, SetOverrideArgs},
    json_of, read,
};
use crate::{
    command::{
        Failure,
        operator::{begin, refused},
    },
    domain::{
        ids::OrganizationId,
        instant::rfc3339_micros,
        price::{ModelPrice, PriceBook},
        price_file::{ClassDraft, FieldFault, Format, Free, PriceDraft, PriceFile},
        price_review::review,
    },
    gateway::DatabaseError,
    postgres::Operator,
    store::admin::{AgreementAdmin, AgreementError, Begins, OrganizationAdmin, PriceAdmin},
};

pub(super) async fn set(args: SetOverrideArgs) -> Result<ExitCode, Failure> {
    let file = prices(&args)?;
    let (store, output) = begin(&args.operator).await?;
    // Asked first, or prices would be judged for an organization that is not there.
    store.organization(args.org).await.map_err(|error| refused(args.org, error))?;
    let objections = objections(&store, &args, &file).await?;
    if !objections.is_empty() {
        let text = format!("Refused: nothing was agreed on.\n  {}", objections.join("\n  "));
        output.result(text, &json!({"ok": false, "refused": objections}))?;
        return Ok(ExitCode::FAILURE);
    }
    let begins = store.agree_prices(args.org, &file.prices, args.effective_from.as_ref()).await;
    let from = moment(args.org, begins)?;
    let models: Vec<_> = file.prices.iter().map(|price| price.model.as_str()).collect();
    output.result(
        format_args!("From {from} on, {} has its own price of {}.", args.org, models.join(", ")),
        &json!({
            "ok": true,
            "organization_id": args.org,
            "effective_from": from,
            "prices": file.prices.iter().map(json_of).collect::<Vec<_>>(),
        }),
    )?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn end(args: EndOverrideArgs) -> Result<ExitCode, Failure> {
    let EndOverrideArgs { org, model, effective_from, operator } = args;
    let (store, output) = begin(&operator).await?;
    let from = moment(org, store.withdraw_price(org, &model, effective_from.as_ref()).await)?;
    output.result(
        format_args!("From {from} on, {org} pays the list price of {model}."),
        &json!({"ok": true, "organization_id": org, "effective_from": from, "model": model}),
    )?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn markup(args: MarkupArgs) -> Result<ExitCode, Failure> {
    let MarkupArgs { org, bps, effective_from, operator } = args;
    let (store, output) = begin(&operator).await?;
    let from = moment(org, store.set_markup(org, bps, effective_from.as_ref()).await)?;
    output.result(
        format_args!("From {from} on, {org} pays list prices with {bps} basis points added."),
        &json!({"ok": true, "organization_id": org, "effective_from": from, "markup_bps": bps}),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// The prices of the file, or the one of the options.
fn prices(args: &SetOverrideArgs) -> Result<PriceFile, Failure> {
    let faults = |faults: Vec<FieldFault>| {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        Failure::new(format!("nothing was agreed on: {}", faults.join("; ")))
    };
    let Some(model) = &args.model else {
        let json = read(args.file.as_deref().unwrap_or_else(|| "".as_ref()))?;
        return Ok(PriceFile::read(&json, Format::Tollgate)?);
    };
    let RateArgs {
        input,
        cached_read,
        cache_write_5m,
        cache_write_1h,
        output,
        reasoning,
        per_request,
    } = args.rates;
    let draft = PriceDraft {
        per_request: per_request.unwrap_or_default(),
        first: ClassDraft { input, cached_read, cache_write_5m, cache_write_1h, output, reasoning },
        free: if args.free { Free::Everything } else { Free::Nothing },
        ..PriceDraft::default()
    };
    let price = draft.price(model).map_err(faults)?;
    Ok(PriceFile { prices: vec![price], skipped: Vec::new() })
}

/// What speaks against these prices, beside what the organization pays now.
async fn objections(
    store: &Operator,
    args: &SetOverrideArgs,
    file: &PriceFile,
) -> Result<Vec<String>, Failure> {
    let fault = DatabaseError::from;
    let list = store.price_book_at(None).await.map_err(fault)?;
    let agreement = store.agreement(args.org, None).await.map_err(fault)?;
    let in_force = |price: &ModelPrice| {
        let quote = agreement.quote(&list, &price.model)?;
        Some(ModelPrice::clone(quote.price()))
    };
    let paid = PriceBook::new(file.prices.iter().filter_map(in_force));
    let review = review(file, &paid, args.accept_jumps);
    let mut objections: Vec<_> = review.objections.iter().map(ToString::to_string).collect();
    let unknown = file.prices.iter().filter(|price| paid.get(&price.model).is_none());
    if !args.unlisted {
        objections.extend(unknown.map(|price| {
            format!("{}: it has no list price; --unlisted says that this is meant", price.model)
        }));
    }
    Ok(objections)
}

fn moment(id: OrganizationId, begins: Result<Begins, AgreementError>) -> Result<String, Failure> {
    match begins {
        Ok(Begins::AtMicros(at)) => Ok(rfc3339_micros(at)),
        Ok(Begins::Past) => Err(Failure::new(
            "--effective-from is past: calls have been settled by other prices since",
        )),
        Err(AgreementError::SameMoment) => Err(Failure::new(
            "something else begins at that very moment already: choose another with --effective-from",
        )),
        Err(AgreementError::Store(error)) => Err(refused(id, error)),
    }
}
