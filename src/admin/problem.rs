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

/// An operation was not carried out. It has no words of its own: each front has its own for it.
#[derive(Debug)]
pub(crate) enum Problem {
    /// An input is not what it must be.
    Input(Input),
    /// It is not said whose it is, or said wrongly.
    Scope(ScopeFault),
    /// The organization is not there.
    UnknownOrganization(OrganizationId),
    /// An organization with this id is there.
    OrganizationExists(OrganizationId),
    /// The organization was not moved, or not created in its place.
    Move(OrganizationId, MoveError),
    /// The reference was used before, for another amount.
    OtherAmount,
    /// The balance would be larger than a balance can be.
    BalanceTooLarge,
    /// It is JSON, but no object.
    NoPolicyObject,
    /// It does not come to a policy.
    NotAPolicy(serde_json::Error),
    /// As many kill switches are on as may be.
    TooManySwitches,
    /// No rate would be left.
    NothingLimited,
    /// The pattern fits no model with a price, so the limit would count nothing.
    UnknownModel(String),
    /// There is no such limit.
    NoSuchLimit,
    /// No cap would be left.
    NothingCapped,
    /// There is no such budget.
    NoSuchBudget,
    /// Calls have been settled since the moment that was named.
    Past,
    /// Something else begins at the moment that was named.
    SameMoment,
    /// The model has no price.
    NoPrice(String),
    /// The price file is not one.
    PriceFile(PriceFileError),
    /// The price of one model is not one.
    Price(Vec<FieldFault>),
    /// The window ends where it begins, or before.
    EmptyWindow,
    /// The movements of a window do not add up to its balances.
    DoesNotAddUp(Untied),
    /// The store did not do it.
    Store(StoreError),
}

/// What is wrong with an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Input {
    /// An organization without a name.
    #[error("an organization has a name")]
    NoName,
    /// A grant of nothing, or less.
    #[error("a grant is more than nothing")]
    NoAmount,
    /// A reason that is too long, or that Postgres does not take.
    #[error("the reason is a text of {REASON_BYTES_MAX} bytes at the most")]
    Reason,
    /// A limit of no model.
    #[error("a limit names its models")]
    NoModel,
    /// A rate that is no rate.
    #[error("expected a number from 1 to {}", u32::MAX)]
    Rate,
    /// A cap in tokens that is none.
    #[error("expected a whole number from 0 to {}", i64::MAX)]
    TokensCap,
    /// A cap in credits that is none.
    #[error("a cap is not below zero")]
    CreditsCap,
    /// A mark-up that is too high.
    #[error("a mark-up is at most {MARKUP_BPS_MAX} basis points")]
    Markup,
}

/// What is wrong with a scope, or with the id in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ScopeFault {
    /// The whole organization was asked for, and an id in it.
    OrganizationHasNoId,
    /// It is not said which one.
    Unnamed(Scope),
    /// The id stands for all of them, or for none.
    Reserved(Scope),
    /// The id is not a UUID.
    NotAUuid(Scope, String),
}

impl Problem {
    /// What a store says about this organization.
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
