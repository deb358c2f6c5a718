//! `tollgate prices set-override`, `end-override` and `markup`.

use std::process::ExitCode;

use super::{
    args::{EndOverrideArgs, MarkupArgs, RateArgs, SetOverrideArgs},
    read,
};
use crate::{
    admin::agreements::{self, Agreed, AgreedFrom, Options},
    command::{Failure, operator::begin},
    domain::price_file::{ClassDraft, Free, PriceDraft, PriceFile},
};

pub(super) async fn set(args: SetOverrideArgs) -> Result<ExitCode, Failure> {
    let file = prices(&args)?;
    let SetOverrideArgs { org, unlisted, accept_jumps, effective_from, operator, .. } = args;
    let (store, output) = begin(&operator).await?;
    let options = Options { unlisted, accept_jumps, effective_from };
    let agreed = agreements::agree(&store, org, file, &options).await?;
    let (text, code) = match &agreed {
        Agreed::Refused(objections) => (
            format!("Refused: nothing was agreed on.\n  {}", objections.join("\n  ")),
            ExitCode::FAILURE,
        ),
        Agreed::From(AgreedFrom { from, prices, .. }) => {
            let models: Vec<_> = prices.iter().map(|price| price.model.as_str()).collect();
            let text = format!("From {from} on, {org} has its own price of {}.", models.join(", "));
            (text, ExitCode::SUCCESS)
        }
    };
    output.result(text, &agreed.document())?;
    Ok(code)
}

pub(super) async fn end(args: EndOverrideArgs) -> Result<ExitCode, Failure> {
    let EndOverrideArgs { org, model, effective_from, operator } = args;
    let (store, output) = begin(&operator).await?;
    let ended = agreements::end(&store, org, &model, effective_from.as_ref()).await?;
    let text = format!("From {} on, {org} pays the list price of {model}.", ended.from);
    output.result(text, ended.document())?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn markup(args: MarkupArgs) -> Result<ExitCode, Failure> {
    let MarkupArgs { org, bps, effective_from, operator } = args;
    let (store, output) = begin(&operator).await?;
    let set = agreements::markup(&store, org, bps, effective_from.as_ref()).await?;
    let from = &set.from;
    output.result(
        format_args!("From {from} on, {org} pays list prices with {bps} basis points added."),
        set.document(),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// The prices of the file, or the one price that the options describe.
fn prices(args: &SetOverrideArgs) -> Result<PriceFile, Failure> {
    let Some(model) = &args.model else {
        let json = read(args.file.as_deref().unwrap_or_else(|| "".as_ref()))?;
        return Ok(agreements::read(&json)?);
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
    Ok(agreements::one(model, draft)?)
}
