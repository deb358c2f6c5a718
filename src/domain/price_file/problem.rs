//! What is wrong with a price file.

use std::fmt;

use super::DecimalError;
use crate::domain::json::JsonError;

/// The file can't be used: not one of its prices is taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceFileError {
    /// Not JSON, or a key that appears twice.
    #[error("the price file can't be read: {0}")]
    Json(#[from] JsonError),
    /// Fields are not what they have to be.
    #[error("{}", first_of(.0))]
    Fields(Vec<FieldFault>),
}

/// A field that is not what it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFault {
    /// The model.
    pub model: String,
    /// The field; empty where it is the model as a whole.
    pub field: String,
    /// What is wrong with it.
    pub problem: FieldProblem,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldProblem {
    /// Its number can't be used.
    #[error(transparent)]
    Number(#[from] DecimalError),
    /// A value of another kind.
    #[error("it is not of the kind that is expected there")]
    Kind,
    /// No such field.
    #[error("there is no such field")]
    Unknown,
    /// It has to be there.
    #[error("it is missing")]
    Missing,
    /// Zero, and nothing says that it is meant.
    #[error("it is zero, and not marked as free")]
    Zero,
    /// Not a mode that is served here.
    #[error("it is none of chat, responses, completion and embedding")]
    Mode,
    /// Tiers ascend, and the first is the model's own.
    #[error("it is not above the tier before it")]
    Order,
    /// Not a format of ours.
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
