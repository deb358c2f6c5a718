//! One model's fields, and the price they make.

use aws_lc_rs::digest;

use super::{
    PriceFileError, SkipReason,
    decimal::{DecimalError, scaled},
};
use crate::domain::{
    credits::Credits,
    ids::PriceId,
    json::{Kind, Reader},
    price::{ModelPrice, Rates, Tier},
};

/// USD per token to nano-dollars per million tokens.
const PER_TOKEN: i32 = 15;
/// USD to nano-dollars.
const PER_REQUEST: i32 = 9;

#[derive(Debug, Default)]
pub(super) struct Entry {
    provider: String,
    mode: String,
    per_request: Option<i64>,
    /// By the tokens above which they hold; the first is 0.
    classes: Vec<(u64, Classes)>,
    input_tokens_max: Option<u64>,
    output_tokens_max: Option<u64>,
    tokens_max: Option<u64>,
    /// `output_vector_size` and the like do not matter, but a charge that nobody meters does.
    unmetered: bool,
    free: bool,
}

/// The prices of one tier, as far as the file has them.
#[derive(Clone, Copy, Debug, Default)]
struct Classes {
    input: Option<i64>,
    cached_read: Option<i64>,
    write_short: Option<i64>,
    write_long: Option<i64>,
    output: Option<i64>,
    reasoning: Option<i64>,
}

impl Entry {
    pub(super) fn read(reader: &mut Reader<'_>, model: &str) -> Result<Self, PriceFileError> {
        let mut entry = Self::default();
        reader.object(|reader, field| {
            let value = match reader.kind()? {
                Kind::String => reader.string()?.decoded(),
                Kind::Number => reader.number()?.into(),
                Kind::Bool => if reader.bool()? { "true" } else { "false" }.into(),
                Kind::Null | Kind::Array | Kind::Object => return Ok(reader.skip()?),
            };
            entry.take(&field, &value).map_err(|problem| PriceFileError::Field {
                model: model.into(),
                field: field.into_owned(),
                problem,
            })
        })?;
        Ok(entry)
    }

    fn take(&mut self, field: &str, value: &str) -> Result<(), DecimalError> {
        match field {
            "provider" | "litellm_provider" => self.provider = value.into(),
            "mode" => self.mode = value.into(),
            "free" => self.free = value == "true",
            "max_input_tokens" => self.input_tokens_max = tokens(value)?,
            "max_output_tokens" => self.output_tokens_max = tokens(value)?,
            "max_tokens" => self.tokens_max = tokens(value)?,
            "input_cost_per_request" => self.per_request = Some(scaled(value, PER_REQUEST)?),
            "citation_cost_per_token" => self.unmetered |= scaled(value, PER_TOKEN)? > 0,
            _ => {
                let (class, above) = split_tier(field);
                if let Some(slot) = self.slot(class, above) {
                    *slot = Some(scaled(value, PER_TOKEN)?);
                }
            }
        }
        Ok(())
    }

    /// Where the price of a class goes; `None` for a field that is no price of ours.
    fn slot(&mut self, class: &str, above: u64) -> Option<&mut Option<i64>> {
        let field: fn(&mut Classes) -> &mut Option<i64> = match class {
            "input_cost_per_token" => |classes| &mut classes.input,
            "cache_read_input_token_cost" | "input_cost_per_token_cache_hit" => {
                |classes| &mut classes.cached_read
            }
            "cache_creation_input_token_cost" => |classes| &mut classes.write_short,
            "cache_creation_input_token_cost_above_1hr" => |classes| &mut classes.write_long,
            "output_cost_per_token" => |classes| &mut classes.output,
            "output_cost_per_reasoning_token" => |classes| &mut classes.reasoning,
            _ => return None,
        };
        let index = self.classes.iter().position(|(from, _)| *from == above).unwrap_or_else(|| {
            self.classes.push((above, Classes::default()));
            self.classes.len().saturating_sub(1)
        });
        self.classes.get_mut(index).map(|(_, classes)| field(classes))
    }

    /// The model's price, or why it has none.
    pub(super) fn price(
        mut self,
        model: &str,
    ) -> Result<Result<ModelPrice, SkipReason>, PriceFileError> {
        self.classes.sort_unstable_by_key(|(above, _)| *above);
        let base = match self.base() {
            Ok(base) => base,
            Err(reason) => return Ok(Err(reason)),
        };
        let claude = model.contains("claude") || self.provider.contains("anthropic");
        let mut tiers = Vec::with_capacity(self.classes.len());
        for (above, classes) in &self.classes {
            let rates = classes.rates(base, claude).ok_or_else(|| PriceFileError::Field {
                model: model.into(),
                field: "input_cost_per_token".into(),
                problem: DecimalError::TooLarge,
            })?;
            // "Above 200k" begins with the token after them.
            let from_input_tokens = if *above == 0 { 0 } else { above.saturating_add(1) };
            tiers.push(Tier { from_input_tokens, rates });
        }
        let mut price = ModelPrice {
            price_id: PriceId::new(uuid::Uuid::nil()),
            model: model.into(),
            provider: self.provider,
            mode: self.mode,
            per_request: Credits::from_nanos(self.per_request.unwrap_or(0)),
            tiers,
            input_tokens_max: self.input_tokens_max.or(self.tokens_max),
            output_tokens_max: self.output_tokens_max.or(self.tokens_max),
        };
        price.price_id = id_of(&price);
        Ok(Ok(price))
    }

    /// Input and output of the first tier, which every price must have.
    fn base(&self) -> Result<(i64, i64), SkipReason> {
        if !matches!(self.mode.as_str(), "chat" | "responses" | "completion" | "embedding") {
            return Err(SkipReason::Mode);
        }
        if self.unmetered {
            return Err(SkipReason::Unmetered);
        }
        let classes =
            self.classes.first().filter(|(above, _)| *above == 0).map(|(_, classes)| *classes);
        let input = classes.and_then(|classes| classes.input).ok_or(SkipReason::NoInputPrice)?;
        let output = classes.and_then(|classes| classes.output);
        let embeds = self.mode == "embedding";
        let output =
            output.or(if embeds { Some(0) } else { None }).ok_or(SkipReason::NoOutputPrice)?;
        if !self.free && (input == 0 || (output == 0 && !embeds)) {
            return Err(SkipReason::Zero);
        }
        Ok((input, output))
    }
}

impl Classes {
    /// All classes, the missing ones by the rules of the module. `None` where one does not fit.
    fn rates(&self, (base_input, base_output): (i64, i64), claude: bool) -> Option<Rates> {
        let known = |price: Option<i64>| price.filter(|price| *price > 0);
        let input = known(self.input).unwrap_or(base_input);
        let output = known(self.output).unwrap_or(base_output);
        let (short, long) = if claude {
            let quarter = input.checked_add(3)?.checked_div(4)?;
            (input.checked_add(quarter)?, input.checked_mul(2)?)
        } else {
            (input, input)
        };
        let cache_write_5m = known(self.write_short).unwrap_or(short).max(input);
        Some(Rates {
            input,
            cached_read: known(self.cached_read).unwrap_or(input),
            cache_write_5m,
            cache_write_1h: known(self.write_long).unwrap_or(long).max(cache_write_5m),
            output,
            reasoning: known(self.reasoning).unwrap_or(output),
        })
    }
}

/// `…_above_200k_tokens` is the class before it, above 200,000 tokens.
fn split_tier(field: &str) -> (&str, u64) {
    let split = || {
        let (class, tier) = field.strip_suffix("k_tokens")?.rsplit_once("_above_")?;
        Some((class, tier.parse::<u64>().ok()?.checked_mul(1000)?))
    };
    split().unwrap_or((field, 0))
}

fn tokens(text: &str) -> Result<Option<u64>, DecimalError> {
    scaled(text, 0).map(|tokens| u64::try_from(tokens).ok().filter(|tokens| *tokens > 0))
}

/// The same price of the same model has the same id in every installation: a UUIDv8 of its digest.
fn id_of(price: &ModelPrice) -> PriceId {
    let ModelPrice {
        price_id: _,
        model,
        provider,
        mode,
        per_request,
        tiers,
        input_tokens_max: _,
        output_tokens_max: _,
    } = price;
    let mut text =
        format!("tollgate price 1\0{model}\0{provider}\0{mode}\0{}", per_request.nanos());
    text.extend(tiers.iter().map(|Tier { from_input_tokens, rates }| {
        let Rates { input, cached_read, cache_write_5m, cache_write_1h, output, reasoning } = rates;
        format!("\0{from_input_tokens}:{input}:{cached_read}:{cache_write_5m}:{cache_write_1h}:{output}:{reasoning}")
    }));
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let bytes = digest.as_ref().first_chunk().copied().unwrap_or_default();
    PriceId::new(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}
