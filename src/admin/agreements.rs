//! Prices agreed with one organization, and its mark-up.

use serde_json::{Value, json};

use super::{
    prices,
    problem::{Input, Problem},
};
use crate::{
    domain::{
        ids::OrganizationId,
        instant::{Moment, rfc3339_micros},
        price::{MARKUP_BPS_MAX, ModelPrice, PriceBook},
        price_file::{Format, PriceDraft, PriceFile},
        price_review::review,
    },
    store::admin::{AgreementAdmin, AgreementError, Begins, OrganizationAdmin, PriceAdmin},
};

/// Which suspicious prices are accepted, and when the prices come into force.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// A model without a list price.
    pub(crate) unlisted: bool,
    /// Prices more than ten times above or below those in force.
    pub(crate) accept_jumps: bool,
    /// When the prices come into force. `None` is now.
    pub(crate) effective_from: Option<Moment>,
}

/// The result of an agreement.
#[derive(Debug)]
pub(crate) enum Agreed {
    /// No price was set, because of these objections.
    Refused(Vec<String>),
    From(AgreedFrom),
}

/// An organization's own prices, from a moment on.
#[derive(Debug)]
pub(crate) struct AgreedFrom {
    organization: OrganizationId,
    pub(crate) from: String,
    pub(crate) prices: Vec<ModelPrice>,
}

/// Prices from a file in tollgate's own format.
pub(crate) fn read(json: &[u8]) -> Result<PriceFile, Problem> {
    PriceFile::read(json, Format::Tollgate).map_err(Problem::PriceFile)
}

/// The price of one model.
pub(crate) fn one(model: &str, draft: PriceDraft) -> Result<PriceFile, Problem> {
    let price = draft.price(model).map_err(Problem::Price)?;
    Ok(PriceFile { prices: vec![price], skipped: Vec::new() })
}

pub(crate) async fn agree(
    store: &(impl AgreementAdmin + PriceAdmin + OrganizationAdmin),
    id: OrganizationId,
    file: PriceFile,
    options: &Options,
) -> Result<Agreed, Problem> {
    // Checked first, so that an unknown organization is reported before any objection to prices.
    store.organization(id).await.map_err(Problem::of(id))?;
    let objections = objections(store, id, &file, options).await?;
    if !objections.is_empty() {
        return Ok(Agreed::Refused(objections));
    }
    let begins = store.agree_prices(id, &file.prices, options.effective_from.as_ref()).await;
    let from = moment(id, begins)?;
    Ok(Agreed::From(AgreedFrom { organization: id, from, prices: file.prices }))
}

/// Objections to these prices, compared with the prices that the organization pays now.
async fn objections(
    store: &(impl AgreementAdmin + PriceAdmin),
    id: OrganizationId,
    file: &PriceFile,
    options: &Options,
) -> Result<Vec<String>, Problem> {
    let list = store.price_book_at(None).await?;
    let agreement = store.agreement(id, None).await?;
    let in_force = |price: &ModelPrice| {
        let quote = agreement.quote(&list, &price.model)?;
        Some(ModelPrice::clone(quote.price()))
    };
    let paid = PriceBook::new(file.prices.iter().filter_map(in_force));
    let review = review(file, &paid, options.accept_jumps);
    let mut objections: Vec<_> = review.objections.iter().map(ToString::to_string).collect();
    let unknown = file.prices.iter().filter(|price| paid.get(&price.model).is_none());
    if !options.unlisted {
        objections.extend(unknown.map(|price| {
            format!("{}: it has no list price; --unlisted accepts that", price.model)
        }));
    }
    Ok(objections)
}

impl Agreed {
    pub(crate) fn document(&self) -> Value {
        match self {
            Self::Refused(objections) => json!({"ok": false, "refused": objections}),
            Self::From(AgreedFrom { organization, from, prices }) => json!({
                "ok": true,
                "organization_id": organization,
                "effective_from": from,
                "prices": prices.iter().map(prices::document).collect::<Vec<_>>(),
            }),
        }
    }
}

/// A change of the prices that an organization pays, from a moment on.
#[derive(Debug)]
pub(crate) struct Changed {
    pub(crate) from: String,
    document: Value,
}

impl Changed {
    pub(crate) const fn document(&self) -> &Value {
        &self.document
    }
}

/// Ends an organization's own price of a model.
pub(crate) async fn end(
    store: &impl AgreementAdmin,
    id: OrganizationId,
    model: &str,
    from: Option<&Moment>,
) -> Result<Changed, Problem> {
    let from = moment(id, store.withdraw_price(id, model, from).await)?;
    let document =
        json!({"ok": true, "organization_id": id, "effective_from": from, "model": model});
    Ok(Changed { from, document })
}

/// Checks that a mark-up, in basis points, can be set.
pub(crate) const fn markup_bps(bps: u32) -> Result<u32, Input> {
    if bps <= MARKUP_BPS_MAX { Ok(bps) } else { Err(Input::Markup) }
}

/// Sets an organization's mark-up on list prices.
pub(crate) async fn markup(
    store: &impl AgreementAdmin,
    id: OrganizationId,
    bps: u32,
    from: Option<&Moment>,
) -> Result<Changed, Problem> {
    let bps = markup_bps(bps)?;
    let from = moment(id, store.set_markup(id, bps, from).await)?;
    let document =
        json!({"ok": true, "organization_id": id, "effective_from": from, "markup_bps": bps});
    Ok(Changed { from, document })
}

fn moment(id: OrganizationId, begins: Result<Begins, AgreementError>) -> Result<String, Problem> {
    match begins {
        Ok(Begins::AtMicros(at)) => Ok(rfc3339_micros(at)),
        Ok(Begins::Past) => Err(Problem::Past),
        Err(AgreementError::SameMoment) => Err(Problem::SameMoment),
        Err(AgreementError::Store(error)) => Err(Problem::of(id)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_up_has_an_upper_bound() {
        assert_eq!(markup_bps(MARKUP_BPS_MAX), Ok(MARKUP_BPS_MAX));
        assert_eq!(markup_bps(MARKUP_BPS_MAX + 1), Err(Input::Markup));
    }
}
