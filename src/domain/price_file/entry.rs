//! The fields of one model in LiteLLM's list, and their conversion to a price.

use super::{FieldFault, FieldProblem, SkipReason, costs, id_of};
use crate::domain::{
    credits::Credits,
    decimal::{DecimalError, scaled, scaled_float},
    ids::PriceId,
    json::{JsonError, Kind, Reader},
    price::{ModelPrice, Rates, Tier},
    price_bounds::implausible,
};

/// USD per token to nano-dollars per million tokens.
const PER_TOKEN: i32 = 15;
/// USD to nano-dollars.
const PER_REQUEST: i32 = 9;

const SEARCH: &str = "search_context_cost_per_query";
const IMAGE_TOKEN: &str = "input_cost_per_image_token";
const OFF_PEAK: &str = "off_peak_pricing";

#[derive(Debug, Default)]
pub(super) struct Entry {
    provider: String,
    mode: String,
    per_request: Option<i64>,
    /// The prices of each tier, with the number of tokens above which they apply; the first is 0.
    classes: Vec<(u64, Classes)>,
    input_tokens_max: Option<u64>,
    output_tokens_max: Option<u64>,
    tokens_max: Option<u64>,
    /// The fee of a search: the highest among its sizes.
    search: Option<i64>,
    /// The price of an image token in the prompt. Image tokens are charged as text tokens.
    image_token: i64,
    /// The prices at off-peak hours.
    off_peak: Option<Box<Entry>>,
    /// Cost fields above zero that are not read as prices.
    further: Vec<String>,
    free: bool,
}

/// The prices of one tier, as far as the file has them.
#[derive(Clone, Copy, Debug, Default)]
struct Classes {
    input: Option<i64>,
    cached_read: Option<i64>,
    write_short: Option<i64>,
    write_long: Option<i64>,
    /// The write to a twelve-hour cache. The usage does not distinguish it from the one-hour write.
    write_longest: Option<i64>,
    output: Option<i64>,
    reasoning: Option<i64>,
}

impl Entry {
    /// Reads a model's fields. Invalid fields are added to the faults.
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
                Kind::Object if field == SEARCH => entry.take_search(reader)?,
                Kind::Object if field == OFF_PEAK => {
                    entry.off_peak = Some(Box::new(Self::read(reader, model, faults)?));
                    Ok(())
                }
                // If such a price were ignored, the model would be priced by its other fields alone.
                Kind::Array | Kind::Object => {
                    reader.skip()?;
                    if costs::is_cost(&field) {
                        entry.further.push(field.as_ref().into());
                    }
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
                | "input_cost_per_query"
                | IMAGE_TOKEN
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
            "input_cost_per_request" | "input_cost_per_query" => {
                let fee = scaled_float(value, PER_REQUEST)?;
                let fees = self.per_request.unwrap_or(0).checked_add(fee);
                self.per_request = Some(fees.ok_or(DecimalError::TooLarge)?);
            }
            IMAGE_TOKEN => self.image_token = scaled_float(value, PER_TOKEN)?,
            SEARCH => self.search = Some(scaled_float(value, PER_REQUEST)?),
            _ => {
                let (class, above) = split_tier(field);
                if let Some(slot) = self.slot(class, above) {
                    *slot = Some(scaled_float(value, PER_TOKEN)?);
                } else if costs::is_cost(field) && scaled_float(value, PER_TOKEN) != Ok(0) {
                    self.further.push(field.into());
                }
            }
        }
        Ok(())
    }

    /// Reads a search fee for several sizes. Takes the highest, because the size of a search is not known.
    fn take_search(
        &mut self,
        reader: &mut Reader<'_>,
    ) -> Result<Result<(), DecimalError>, JsonError> {
        let mut taken = Ok(());
        reader.object(|reader, _| {
            let fee = match reader.kind()? {
                Kind::String => scaled_float(&reader.string()?.decoded(), PER_REQUEST),
                Kind::Number => scaled_float(reader.number()?, PER_REQUEST),
                Kind::Null | Kind::Bool | Kind::Array | Kind::Object => {
                    reader.skip()?;
                    Err(DecimalError::Malformed)
                }
            };
            match fee {
                Ok(fee) => self.search = self.search.max(Some(fee)),
                Err(problem) => taken = Err(problem),
            }
            Ok::<(), JsonError>(())
        })?;
        Ok(taken)
    }

    /// A cost field that is not metered here, so that a call may cost more than its price.
    fn unmetered(&self, model: &str) -> Option<&str> {
        let unknown =
            self.further.iter().find(|field| !costs::cannot_occur(field, model, &self.mode));
        let input = self.first().and_then(|classes| classes.input).unwrap_or(0);
        let dearer = self.off_peak.as_ref().is_some_and(|hours| !self.covers(hours));
        let researches = self.search.is_some_and(|fee| fee > 0) && costs::researches(model);
        unknown
            .map(String::as_str)
            .or((self.image_token > input && self.mode != "embedding").then_some(IMAGE_TOKEN))
            .or(dearer.then_some(OFF_PEAK))
            .or(researches.then_some(SEARCH))
    }

    /// Whether no price in `hours` is above this entry's price for all other hours.
    fn covers(&self, hours: &Self) -> bool {
        let known = |(above, dearer): &(u64, Classes)| {
            let (_, classes) = self.classes.iter().find(|(from, _)| from == above)?;
            let pairs = classes.all().into_iter().zip(dearer.all());
            Some(pairs.into_iter().all(|(usual, then)| then.is_none() || then <= usual))
        };
        let only_tokens = hours.further.is_empty()
            && hours.search.is_none()
            && hours.per_request.is_none()
            && hours.image_token <= self.image_token;
        only_tokens && hours.classes.iter().all(|tier| known(tier).unwrap_or(false))
    }

    fn first(&self) -> Option<&Classes> {
        self.classes.iter().find(|(above, _)| *above == 0).map(|(_, classes)| classes)
    }

    /// The place for the price of a class; `None` if the field is not a price that is read.
    fn slot(&mut self, class: &str, above: u64) -> Option<&mut Option<i64>> {
        let field: fn(&mut Classes) -> &mut Option<i64> = match class {
            "input_cost_per_token" => |classes| &mut classes.input,
            "cache_read_input_token_cost" | "input_cost_per_token_cache_hit" => {
                |classes| &mut classes.cached_read
            }
            "cache_creation_input_token_cost" => |classes| &mut classes.write_short,
            "cache_creation_input_token_cost_above_1hr" => |classes| &mut classes.write_long,
            "cache_creation_input_token_cost_above_12hr" => |classes| &mut classes.write_longest,
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
        let base = match self.base(model) {
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
            // "Above 200k" begins at 200,001 tokens.
            let from_input_tokens = if *above == 0 { 0 } else { above.saturating_add(1) };
            tiers.push(Tier { from_input_tokens, rates });
        }
        let search = self.search.filter(|_| costs::searches(model, &self.provider));
        let too_large = FieldProblem::Number(DecimalError::TooLarge);
        let per_request = self
            .per_request
            .unwrap_or(0)
            .checked_add(search.unwrap_or(0))
            .ok_or_else(|| FieldFault::new(model, SEARCH, too_large))?;
        let mut price = ModelPrice {
            price_id: PriceId::new(uuid::Uuid::nil()),
            model: model.into(),
            provider: self.provider,
            mode: self.mode,
            per_request: Credits::from_nanos(per_request),
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
    fn base(&self, model: &str) -> Result<(i64, i64), SkipReason> {
        if !matches!(self.mode.as_str(), "chat" | "responses" | "completion" | "embedding") {
            return Err(SkipReason::Mode);
        }
        if let Some(field) = self.unmetered(model) {
            return Err(SkipReason::Unmetered { field: field.to_owned() });
        }
        let classes = self.first();
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
    const fn all(&self) -> [Option<i64>; 7] {
        let Self { input, cached_read, write_short, write_long, write_longest, output, reasoning } =
            *self;
        [input, cached_read, write_short, write_long, write_longest, output, reasoning]
    }

    /// The rates of all classes; missing ones follow the rules in the module docs. `None` if one overflows.
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
            cache_write_1h: known(self.write_long.max(self.write_longest))
                .unwrap_or(long)
                .max(cache_write_5m),
            output,
            reasoning: known(self.reasoning).unwrap_or(output),
        })
    }
}

/// Splits a field into its class and its tier: `…_above_200k_tokens` is the class `…` above 200,000 tokens.
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
