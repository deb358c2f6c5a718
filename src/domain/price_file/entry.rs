//! One model's fields, and the price they make.

use super::{
    FieldFault, FieldProblem, SkipReason,
    decimal::{DecimalError, scaled, usd},
    id_of,
};
use crate::domain::{
    credits::Credits,
    ids::PriceId,
    json::{JsonError, Kind, Reader},
    price::{ModelPrice, Rates, Tier},
    price_bounds::implausible,
};

/// USD per token to nano-dollars per million tokens.
const PER_TOKEN: i32 = 15;

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
    /// Reads a model's fields; those that are not what they have to be are added to the faults.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        model: &str,
        faults: &mut Vec<FieldFault>,
    ) -> Result<Self, JsonError> {
        let mut entry = Self::default();
        reader.object(|reader, field| {
            let taken = match reader.kind()? {
                Kind::String => entry.take(&field, &reader.string()?.decoded()),
                Kind::Number => entry.take(&field, reader.number()?),
                Kind::Bool => entry.take(&field, if reader.bool()? { "true" } else { "false" }),
                Kind::Null => return reader.skip(),
                // Overlooked, it would be priced by what is left.
                Kind::Array | Kind::Object => {
                    reader.skip()?;
                    if entry.is_read(&field) { Err(DecimalError::Malformed) } else { Ok(()) }
                }
            };
            if let Err(problem) = taken {
                faults.push(FieldFault::new(model, &field, FieldProblem::Number(problem)));
            }
            Ok::<(), JsonError>(())
        })?;
        Ok(entry)
    }

    /// Whether a field of this name becomes a part of the price.
    fn is_read(&mut self, field: &str) -> bool {
        matches!(
            field,
            "input_cost_per_request"
                | "citation_cost_per_token"
                | "output_cost_per_image_token"
                | "output_cost_per_video_token"
                | "max_input_tokens"
                | "max_output_tokens"
                | "max_tokens"
        ) || {
            let (class, above) = split_tier(field);
            self.slot(class, above).is_some()
        }
    }

    fn take(&mut self, field: &str, value: &str) -> Result<(), DecimalError> {
        match field {
            "provider" | "litellm_provider" => self.provider = value.into(),
            "mode" => self.mode = value.into(),
            "free" => self.free = value == "true",
            "max_input_tokens" => self.input_tokens_max = tokens(value)?,
            "max_output_tokens" => self.output_tokens_max = tokens(value)?,
            "max_tokens" => self.tokens_max = tokens(value)?,
            "input_cost_per_request" => self.per_request = Some(usd(value)?),
            // Pictures and films are output tokens to the provider's count, and dearer ones.
            "citation_cost_per_token"
            | "output_cost_per_image_token"
            | "output_cost_per_video_token" => self.unmetered |= scaled(value, PER_TOKEN)? > 0,
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
    ) -> Result<Result<ModelPrice, SkipReason>, FieldFault> {
        self.classes.sort_unstable_by_key(|(above, _)| *above);
        let base = match self.base() {
            Ok(base) => base,
            Err(reason) => return Ok(Err(reason)),
        };
        let claude = model.contains("claude") || self.provider.contains("anthropic");
        let mut tiers = Vec::with_capacity(self.classes.len());
        for (above, classes) in &self.classes {
            let too_large = FieldProblem::Number(DecimalError::TooLarge);
            let rates = classes
                .rates(base, claude)
                .ok_or_else(|| FieldFault::new(model, "input_cost_per_token", too_large))?;
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
        if implausible(&price).is_some() {
            return Ok(Err(SkipReason::Implausible));
        }
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
