//! What an organization may do. A policy is a snapshot that is cached for at most 30 s. It need not be
//! exact: for credits and the kill switch, the hold statement decides from the live rows.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::scope::Scope;

/// What an organization may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Default `false`. The kill switch: no call starts while it is on.
    pub suspended: bool,
    /// Default: every model that has a price.
    pub models: AllowList,
    /// Default: no limit.
    pub rates: Rates,
    /// Default: no limit. The ledger enforces budgets exactly when it takes a hold, not by this snapshot.
    pub budgets: Budgets,
    /// Default: the model's own maximum. The output cap of calls that set none. It is also sent upstream.
    pub output_tokens_default: Option<NonZeroU32>,
    /// Default [`Disconnect::Drain`].
    pub disconnect: Disconnect,
    /// Default [`Keep::Full`].
    pub keep: Keep,
}

/// Which models may be called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<Vec<String>>", into = "Option<Vec<String>>")]
pub enum AllowList {
    /// Every model that has a price.
    #[default]
    All,
    /// The named models. A trailing `*` is a wildcard: `gpt-4o*`.
    Only(Vec<String>),
}

impl AllowList {
    /// Whether `model` may be called.
    pub fn allows(&self, model: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|name| matches(name, model)),
        }
    }
}

impl From<Option<Vec<String>>> for AllowList {
    fn from(names: Option<Vec<String>>) -> Self {
        names.map_or(Self::All, Self::Only)
    }
}

impl From<AllowList> for Option<Vec<String>> {
    fn from(list: AllowList) -> Self {
        match list {
            AllowList::All => None,
            AllowList::Only(names) => Some(names),
        }
    }
}

/// Rates of an organization, summed over its callers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Requests per minute.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Tokens per minute, input and output together.
    pub tokens_per_minute: Option<NonZeroU32>,
    /// The most calls whose answer has not ended yet.
    pub calls_in_flight: Option<NonZeroU32>,
}

/// Rates of one scope that apply to a caller, in addition to the policy's own rates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// Whose rates these are.
    pub scope: Scope,
    /// The id in that scope; empty for the organization. A caller never meets [`Scope::EACH`]: a wildcard
    /// limit is counted under the caller's own id.
    pub scope_id: String,
    /// The models whose calls count: a name, or a prefix with the wildcard `*` at its end.
    pub model_pattern: String,
    /// The rates.
    #[serde(flatten)]
    pub rates: Rates,
}

impl RateLimit {
    /// The pattern that matches every model.
    pub const EVERY_MODEL: &'static str = "*";

    /// Whether calls of this model count.
    pub fn is_for(&self, model: &str) -> bool {
        matches(&self.model_pattern, model)
    }
}

/// Whether a model matches a pattern: exactly, or by its prefix if the pattern ends in `*`.
fn matches(pattern: &str, model: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(stem) => model.starts_with(stem),
        None => pattern == model,
    }
}

/// Token budgets over calendar windows in the organization's time zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budgets {
    /// Tokens a day.
    pub daily_tokens: Option<u64>,
    /// Tokens a month.
    pub monthly_tokens: Option<u64>,
}

/// What happens to the provider's answer when the client leaves before its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disconnect {
    /// Drain the provider's answer, within a time limit, and charge the usage that the provider reports.
    #[default]
    Drain,
    /// As [`Drain`](Self::Drain): a provider bills what it did, so a call that is hung up on must not be cheaper than one
    /// that ends. The word is kept for policies that say it.
    Cancel,
}

/// What the audit log keeps of prompts and responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// Prompts and responses, up to the capture bound.
    #[default]
    Full,
    /// Neither prompts nor responses, only figures.
    Metadata,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_allows_itself_and_a_star_any_ending() {
        let list = AllowList::Only(vec!["gpt-4o*".into(), "small".into()]);
        assert!(list.allows("gpt-4o") && list.allows("gpt-4o-mini") && list.allows("small"));
        assert!(!list.allows("small-2") && !list.allows("gpt-4") && !list.allows(""));
        assert!(!AllowList::Only(vec![]).allows("small"));
    }

    #[test]
    fn no_list_of_models_allows_all_and_an_empty_one_none() {
        for (json, list) in [
            ("null", AllowList::All),
            ("[]", AllowList::Only(vec![])),
            (r#"["small"]"#, AllowList::Only(vec!["small".into()])),
        ] {
            assert_eq!(serde_json::from_str::<AllowList>(json).unwrap(), list);
            assert_eq!(serde_json::to_string(&list).unwrap(), json);
        }
    }

    #[test]
    fn a_policy_with_an_unknown_key_is_refused() {
        assert!(serde_json::from_str::<Policy>(r#"{"rates":{"request_per_minute":1}}"#).is_err());
        assert_eq!(serde_json::from_str::<Policy>("{}").unwrap(), Policy::default());
    }
}
