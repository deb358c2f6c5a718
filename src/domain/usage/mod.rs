//! What a call used, in disjoint classes of tokens, whatever words the provider used for them.
//!
//! A [`Meter`] reads an answer while it passes: the provider's figures where it gives any, and the
//! text that was delivered, for an estimate where it does not.

mod anthropic;
mod figure;
mod meter;
mod openai;
mod plausible;
mod reading;
mod reasoning;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use meter::Meter;
pub use plausible::{is_plausible, output_max};
pub use reading::Seen;
pub use reasoning::may_reason;

/// Tokens of one call in disjoint classes: no token is counted in two of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Input tokens that were neither read from nor written to the provider's cache.
    pub input: u64,
    /// Input tokens read from the provider's cache.
    pub cached_read: u64,
    /// Input tokens written to the provider's five-minute cache.
    pub cache_write_5m: u64,
    /// Input tokens written to the provider's one-hour cache.
    pub cache_write_1h: u64,
    /// Output tokens, without reasoning.
    pub output: u64,
    /// Reasoning ("thinking") tokens.
    pub reasoning: u64,
}

impl Usage {
    /// All input tokens: what decides the price tier.
    pub const fn input_total(&self) -> u64 {
        self.input
            .saturating_add(self.cached_read)
            .saturating_add(self.cache_write_5m)
            .saturating_add(self.cache_write_1h)
    }

    /// All output tokens.
    pub const fn output_total(&self) -> u64 {
        self.output.saturating_add(self.reasoning)
    }

    /// All tokens: what rates and budgets count.
    pub const fn total(&self) -> u64 {
        self.input_total().saturating_add(self.output_total())
    }
}
