//! LiteLLM's other cost fields. If a cost field has not been reviewed, its model gets no price.

/// Suffixes of service tiers and endpoints that are not served here: calls with `service_tier` or `speed` are refused.
const OTHER_TIERS: [&str; 5] = ["_batches", "_priority", "_flex", "_ultrafast", "_decisions"];

/// Costs of tools that the provider runs, which are refused here; and prices in Databricks' own unit, which repeat the
/// prices in dollars.
const NOT_HERE: [&str; 6] = [
    "google_maps_grounding_cost_per_query",
    "code_interpreter_cost_per_session",
    "file_search_cost_per_1k_calls",
    "file_search_cost_per_gb_per_day",
    "input_dbu_cost_per_token",
    "output_dbu_cost_per_token",
];

/// Whether a field of this name is a cost.
pub(super) fn is_cost(field: &str) -> bool {
    ["cost", "price", "pricing", "fee"].iter().any(|word| field.contains(word))
}

/// Models that write only text, although the list has a price for their images.
const TEXT_ONLY: &str = "gemini-3.1-pro-preview";

/// Whether no call here to this model can cause such a cost.
pub(super) fn cannot_occur(field: &str, model: &str, mode: &str) -> bool {
    OTHER_TIERS.iter().any(|tier| field.ends_with(tier))
        || NOT_HERE.contains(&field)
        // Calls with audio input or output are refused.
        || field.contains("_audio_")
        || field.starts_with("input_cost_per_video_")
        || (field == "output_cost_per_image" && model.contains(TEXT_ONLY))
        // Only text can be embedded.
        || (mode == "embedding" && field.starts_with("input_cost_per_image"))
}

/// Whether the model searches on every call, even if the call does not ask for it.
pub(super) fn searches(model: &str, provider: &str) -> bool {
    model.contains("search") || model.contains("sonar") || provider.contains("perplexity")
}

/// Whether the model makes an unlimited number of searches and calls of its own for one call.
pub(super) fn researches(model: &str) -> bool {
    model.contains("deep-research")
}
