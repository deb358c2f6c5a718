//! Why an operation was not carried out.

use crate::{
    domain::{
        ids::OrganizationId,
        price::MARKUP_BPS_MAX,
        price_file::{FieldFault, PriceFileError},
        scope::Scope,
        statement::Untied,
    },
    store::{StoreError, admin::MoveError},
};

/// The longest reason of a kill switch, in bytes.
pub(crate) const REASON_BYTES_MAX: usize = 2_000;

/// An operation was not carried out. Each front has its own texts for these variants.
#[derive(Debug)]
pub(crate) enum Problem {
    /// An input is invalid.
    Input(Input),
    /// The scope, or the id in it, is missing or invalid.
    Scope(ScopeFault),
    /// There is no such organization.
    UnknownOrganization(OrganizationId),
    /// An organization with this id exists already.
    OrganizationExists(OrganizationId),
    /// The organization was not moved, or not created in its place.
    Move(OrganizationId, MoveError),
    /// The reference was used before, for another amount.
    OtherAmount,
    /// The balance would exceed the largest possible balance.
    BalanceTooLarge,
    /// The change of a policy is not a JSON object.
    NoPolicyObject,
    /// The result of the change is not a valid policy.
    NotAPolicy(serde_json::Error),
    /// The maximum number of kill switches is on.
    TooManySwitches,
    /// The limit would have no rate.
    NothingLimited,
    /// The pattern matches no model with a price, so the limit would count nothing.
    UnknownModel(String),
    /// There is no such limit.
    NoSuchLimit,
    /// The budget would have no cap.
    NothingCapped,
    /// There is no such budget.
    NoSuchBudget,
    /// Calls have been settled since the moment that was named.
    Past,
    /// Another price or mark-up begins at the moment that was named.
    SameMoment,
    /// The model has no price.
    NoPrice(String),
    /// The price file cannot be read.
    PriceFile(PriceFileError),
    /// The price of the model is invalid.
    Price(Vec<FieldFault>),
    /// The window ends at its beginning, or before.
    EmptyWindow,
    /// The movements of a window do not add up to its balances.
    DoesNotAddUp(Untied),
    /// The store failed.
    Store(StoreError),
}

/// What is wrong with an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Input {
    /// An organization without a name.
    #[error("an organization has a name")]
    NoName,
    /// A grant of zero or less.
    #[error("a grant is more than nothing")]
    NoAmount,
    /// A reason that is too long, or that Postgres cannot store.
    #[error("the reason is a text of {REASON_BYTES_MAX} bytes at the most")]
    Reason,
    /// A limit without a model pattern.
    #[error("a limit names its models")]
    NoModel,
    /// A rate that is out of range.
    #[error("expected a number from 1 to {}", u32::MAX)]
    Rate,
    /// A cap in tokens that is out of range.
    #[error("expected a whole number from 0 to {}", i64::MAX)]
    TokensCap,
    /// A cap in credits that is below zero.
    #[error("a cap is not below zero")]
    CreditsCap,
    /// A mark-up that is too high.
    #[error("a mark-up is at most {MARKUP_BPS_MAX} basis points")]
    Markup,
}

/// What is wrong with a scope, or with the id in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ScopeFault {
    /// An id was given for the scope of the whole organization.
    OrganizationHasNoId,
    /// No id was given.
    Unnamed(Scope),
    /// The id is reserved: it is the wildcard, or empty.
    Reserved(Scope),
    /// The id is not a UUID.
    NotAUuid(Scope, String),
}

impl Problem {
    /// Converts a store's errors about this organization.
    pub(crate) fn of(id: OrganizationId) -> impl Fn(StoreError) -> Self {
        move |error| {
            if matches!(error, StoreError::UnknownOrganization) {
                return Self::UnknownOrganization(id);
            }
            error.into()
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Input> for Problem {
    fn from(input: Input) -> Self {
        Self::Input(input)
    }
}

impl From<ScopeFault> for Problem {
    fn from(fault: ScopeFault) -> Self {
        Self::Scope(fault)
    }
}
