//! The errors in a price file.

use std::fmt;

use super::DecimalError;
use crate::domain::json::JsonError;

/// The file cannot be used: none of its prices is taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceFileError {
    /// The file is not JSON, or has a duplicate key.
    #[error("the price file can't be read: {0}")]
    Json(#[from] JsonError),
    /// Some fields are invalid.
    #[error("{}", first_of(.0))]
    Fields(Vec<FieldFault>),
}

/// An invalid field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFault {
    /// The model.
    pub model: String,
    /// The field; empty if the fault is of the model as a whole.
    pub field: String,
    /// What is wrong with the field.
    pub problem: FieldProblem,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldProblem {
    /// The number cannot be used.
    #[error(transparent)]
    Number(#[from] DecimalError),
    /// A value of a wrong type.
    #[error("it is not of the kind that is expected there")]
    Kind,
    /// No such field.
    #[error("there is no such field")]
    Unknown,
    /// The field is required.
    #[error("it is missing")]
    Missing,
    /// The price is zero, without a mark that it is intended.
    #[error("it is zero, and not marked as free")]
    Zero,
    /// The mode is not one that is served here.
    #[error("it is none of chat, responses, completion and embedding")]
    Mode,
    /// Tiers must ascend; the model's own prices are the first tier.
    #[error("it is not above the tier before it")]
    Order,
    /// The version of our format is unknown.
    #[error("it is not a version that this program reads: 1")]
    Version,
}

impl FieldFault {
    pub(super) fn new(model: &str, field: &str, problem: FieldProblem) -> Self {
        Self { model: model.into(), field: field.into(), problem }
    }
}

impl fmt::Display for FieldFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, field, problem } = self;
        match (field.as_str(), model.as_str()) {
            ("", model) => write!(f, "{model}: {problem}"),
            (field, "") => write!(f, "{field}: {problem}"),
            (field, model) => write!(f, "{field} of {model}: {problem}"),
        }
    }
}

fn first_of(faults: &[FieldFault]) -> String {
    match faults {
        [] => "the price file can't be used".to_owned(),
        [one] => one.to_string(),
        [first, rest @ ..] => format!("{first}, and {} more faults", rest.len()),
    }
}
