//! What LiteLLM's other cost fields mean here. A cost that nobody has reviewed makes its model unpriced.

/// Service tiers and endpoints other than those that are served here: `service_tier` and `speed` are refused.
const OTHER_TIERS: [&str; 5] = ["_batches", "_priority", "_flex", "_ultrafast", "_decisions"];

/// Tools that the provider runs are refused; prices in Databricks' own unit repeat those in dollars.
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

/// Models that write nothing but text, though the list has a price of their pictures.
const TEXT_ONLY: &str = "gemini-3.1-pro-preview";

/// Whether no call here to this model can cause such a cost.
pub(super) fn cannot_occur(field: &str, model: &str, mode: &str) -> bool {
    OTHER_TIERS.iter().any(|tier| field.ends_with(tier))
        || NOT_HERE.contains(&field)
        // Audio is refused, as input and as output.
        || field.contains("_audio_")
        || field.starts_with("input_cost_per_video_")
        || (field == "output_cost_per_image" && model.contains(TEXT_ONLY))
        // Embeddings are of text.
        || (mode == "embedding" && field.starts_with("input_cost_per_image"))
}

/// Whether the model searches on every call, asked or not.
pub(super) fn searches(model: &str, provider: &str) -> bool {
    model.contains("search") || model.contains("sonar") || provider.contains("perplexity")
}

/// Whether the model makes as many searches and calls of its own as it likes for one call.
pub(super) fn researches(model: &str) -> bool {
    model.contains("deep-research")
}
