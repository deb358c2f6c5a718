//! Our own format: USD per million tokens. Unknown fields are refused, and required prices are not guessed.

use super::{
    FieldFault, FieldProblem, PriceFile, PriceFileError,
    draft::{ClassDraft, Free, PriceDraft, TierDraft},
};
use crate::domain::{
    decimal::{scaled, usd, usd_per_million_tokens},
    json::{JsonError, Kind, Reader},
};

/// The key that only files in our format have; its value is the version of the format.
pub(super) const VERSION_KEY: &str = "tollgate_prices";
const VERSION: &str = "1";

/// Reads a file of ours.
pub(super) fn read(json: &[u8]) -> Result<PriceFile, PriceFileError> {
    let mut file = PriceFile::default();
    let mut faults = Vec::new();
    let mut versioned = false;
    let mut reader = Reader::new(json)?;
    reader.object(|reader, key| {
        match &*key {
            VERSION_KEY => {
                versioned = reader.kind()? == Kind::Number && reader.number()? == VERSION;
            }
            // A comment for people: it may have any value.
            "comment" => reader.skip()?,
            "models" => reader.object(|reader, model| {
                let before = faults.len();
                let draft = Fields { model: &model, faults: &mut faults }.draft(reader)?;
                // A field that could not be read would be reported as missing, too.
                if faults.len() == before {
                    match draft.price(&model) {
                        Ok(price) => file.prices.push(price),
                        Err(wrong) => faults.extend(wrong),
                    }
                }
                Ok::<(), JsonError>(())
            })?,
            other => {
                faults.push(FieldFault::new("", other, FieldProblem::Unknown));
                reader.skip()?;
            }
        }
        Ok::<(), JsonError>(())
    })?;
    reader.end()?;
    if !versioned {
        faults.push(FieldFault::new("", VERSION_KEY, FieldProblem::Version));
    }
    if faults.is_empty() { Ok(file) } else { Err(PriceFileError::Fields(faults)) }
}

/// Reads the fields of one model, and collects their faults.
struct Fields<'a> {
    model: &'a str,
    faults: &'a mut Vec<FieldFault>,
}

impl Fields<'_> {
    fn draft(&mut self, reader: &mut Reader<'_>) -> Result<PriceDraft, JsonError> {
        let mut draft = PriceDraft::default();
        reader.object(|reader, field| {
            match &*field {
                "provider" => draft.provider = self.text(&field, reader)?.unwrap_or_default(),
                "mode" => draft.mode = self.text(&field, reader)?,
                "usd_per_million_tokens" => draft.first = self.classes("", reader)?,
                "usd_per_request" => {
                    draft.per_request = self.number(&field, reader, usd)?.unwrap_or_default();
                }
                "tiers" if reader.kind()? == Kind::Array => reader.array(|reader| {
                    let place = format!("tiers[{}].", draft.further.len());
                    draft.further.push(self.tier(&place, reader)?);
                    Ok::<(), JsonError>(())
                })?,
                "free" => draft.free = self.free(reader)?,
                "input_tokens_max" => draft.input_tokens_max = self.tokens(&field, reader)?,
                "output_tokens_max" => draft.output_tokens_max = self.tokens(&field, reader)?,
                "comment" => reader.skip()?,
                "tiers" => self.skip(&field, FieldProblem::Kind, reader)?,
                _ => self.skip(&field, FieldProblem::Unknown, reader)?,
            }
            Ok::<(), JsonError>(())
        })?;
        Ok(draft)
    }

    fn tier(&mut self, place: &str, reader: &mut Reader<'_>) -> Result<TierDraft, JsonError> {
        let mut tier = TierDraft::default();
        reader.object(|reader, field| {
            let name = format!("{place}{field}");
            match &*field {
                "from_input_tokens" => {
                    tier.from_input_tokens = self.tokens(&name, reader)?.unwrap_or_default();
                }
                "usd_per_million_tokens" => tier.classes = self.classes(place, reader)?,
                _ => self.skip(&name, FieldProblem::Unknown, reader)?,
            }
            Ok::<(), JsonError>(())
        })?;
        Ok(tier)
    }

    fn classes(&mut self, place: &str, reader: &mut Reader<'_>) -> Result<ClassDraft, JsonError> {
        let mut classes = ClassDraft::default();
        reader.object(|reader, class| {
            let name = format!("{place}{class}");
            match classes.class(&class) {
                Some(slot) => *slot = self.number(&name, reader, usd_per_million_tokens)?,
                None => self.skip(&name, FieldProblem::Unknown, reader)?,
            }
            Ok::<(), JsonError>(())
        })?;
        Ok(classes)
    }

    /// `true`, or the classes that are free.
    fn free(&mut self, reader: &mut Reader<'_>) -> Result<Free, JsonError> {
        match reader.kind()? {
            Kind::Bool => Ok(if reader.bool()? { Free::Everything } else { Free::Nothing }),
            Kind::Array => {
                let mut classes = Vec::new();
                reader.array(|reader| {
                    let class = self.text("free", reader)?.unwrap_or_default();
                    if ClassDraft::default().class(&class).is_none() {
                        self.fault("free", FieldProblem::Unknown);
                    }
                    classes.push(class);
                    Ok::<(), JsonError>(())
                })?;
                Ok(Free::Classes(classes))
            }
            Kind::Null | Kind::Number | Kind::String | Kind::Object => {
                self.skip("free", FieldProblem::Kind, reader)?;
                Ok(Free::Nothing)
            }
        }
    }

    fn number(
        &mut self,
        field: &str,
        reader: &mut Reader<'_>,
        read: impl Fn(&str) -> Result<i64, super::DecimalError>,
    ) -> Result<Option<i64>, JsonError> {
        let number = match reader.kind()? {
            Kind::String => read(&reader.string()?.decoded()),
            Kind::Number => read(reader.number()?),
            Kind::Null | Kind::Bool | Kind::Array | Kind::Object => {
                self.skip(field, FieldProblem::Kind, reader)?;
                return Ok(None);
            }
        };
        match number {
            Ok(number) => Ok(Some(number)),
            Err(problem) => {
                self.fault(field, FieldProblem::Number(problem));
                Ok(None)
            }
        }
    }

    fn tokens(&mut self, field: &str, reader: &mut Reader<'_>) -> Result<Option<u64>, JsonError> {
        let number = self.number(field, reader, |text| scaled(text, 0))?;
        Ok(number.and_then(|number| u64::try_from(number).ok()))
    }

    fn text(&mut self, field: &str, reader: &mut Reader<'_>) -> Result<Option<String>, JsonError> {
        if reader.kind()? == Kind::String {
            return Ok(Some(reader.string()?.decoded().into_owned()));
        }
        self.skip(field, FieldProblem::Kind, reader)?;
        Ok(None)
    }

    fn skip(
        &mut self,
        field: &str,
        problem: FieldProblem,
        reader: &mut Reader<'_>,
    ) -> Result<(), JsonError> {
        self.fault(field, problem);
        reader.skip()
    }

    fn fault(&mut self, field: &str, problem: FieldProblem) {
        self.faults.push(FieldFault::new(self.model, field, problem));
    }
}
