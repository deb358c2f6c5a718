//! Fields that a shared, metered gateway cannot let through, and why.

use super::InvalidBody;
use crate::domain::{
    endpoint::Spec,
    json::{Kind, Reader},
};

/// Fields that every endpoint refuses unless they are empty (`null`, `false`, an empty list), each with what to do
/// instead.
const UNLESS_EMPTY: &[(&str, &str)] = &[
    (
        "store",
        "it keeps the answer in the provider's account, which organizations share: leave it out or send false",
    ),
    (
        "background",
        "it leaves the answer in the provider's account, which organizations share: leave it out or send false",
    ),
    (
        "previous_response_id",
        "it continues from state in the provider's account, which organizations share: send the whole conversation",
    ),
    (
        "conversation",
        "it continues from state in the provider's account, which organizations share: send the whole conversation",
    ),
    (
        "container",
        "it runs in a container of the provider's account, which organizations share: leave it out",
    ),
    (
        "web_search_options",
        "a hosted search has a price that is not in the price book: pass a search of your own as a function",
    ),
    (
        "search_parameters",
        "a hosted search has a price that is not in the price book: pass a search of your own as a function",
    ),
    (
        "mcp_servers",
        "tools that the provider runs have prices that are not in the price book: run them yourself and pass them as functions",
    ),
    (
        "plugins",
        "tools that the provider runs have prices that are not in the price book: run them yourself and pass them as functions",
    ),
    (
        "data_sources",
        "what the provider adds to the prompt has no bound: put the text into the messages",
    ),
    ("audio", "audio is not priced here: ask for text"),
    ("models", "only the one model in `model` is checked and priced: leave it out"),
    ("fallbacks", "only the one model in `model` is checked and priced: leave it out"),
    ("api_key", "credentials are the gateway's: leave it out"),
    ("api_base", "the upstream is the gateway's: leave it out"),
    ("base_url", "the upstream is the gateway's: leave it out"),
];

/// Fields that are refused unless they have one of these values, which do not change the price.
const UNLESS_ONE_OF: &[(&str, &[&str])] = &[
    ("service_tier", &["auto", "default", "standard_only"]),
    ("speed", &["standard"]),
    ("inference_geo", &["global"]),
];

/// Whether [`check`] must check the field `name`.
pub(super) fn is_judged(spec: &Spec, name: &str) -> bool {
    name == "modalities"
        || unless_empty(spec, name).is_some()
        || UNLESS_ONE_OF.iter().any(|(field, _)| *field == name)
}

/// Why `name` is refused unless it is empty; `None` if it is not such a field.
fn unless_empty(spec: &Spec, name: &str) -> Option<&'static str> {
    let mut fields = UNLESS_EMPTY.iter().chain(spec.refused);
    fields.find(|(field, _)| *field == name).map(|(_, why)| *why)
}

/// Reads the value of a field for which [`is_judged`] is true, and refuses it unless it is harmless.
pub(super) fn check(reader: &mut Reader<'_>, spec: &Spec, name: &str) -> Result<(), InvalidBody> {
    if reader.null()? {
        return Ok(());
    }
    if let Some(why) = unless_empty(spec, name) {
        return empty(reader, name, why);
    }
    if let Some((_, allowed)) = UNLESS_ONE_OF.iter().find(|(field, _)| *field == name) {
        return one_of(reader, name, allowed);
    }
    if reader.kind()? != Kind::Array {
        return Err(only_text(name));
    }
    reader.array(|reader| {
        let text = reader.kind()? == Kind::String && reader.string()?.decoded() == "text";
        if text { Ok(()) } else { Err(only_text(name)) }
    })
}

fn empty(reader: &mut Reader<'_>, name: &str, why: &str) -> Result<(), InvalidBody> {
    let refused = || InvalidBody::of(name, format!("{name} is not possible here; {why}."));
    match reader.kind()? {
        Kind::Bool if !reader.bool()? => Ok(()),
        Kind::Array => reader.array(|_| Err(refused())),
        Kind::Null | Kind::Bool | Kind::Number | Kind::String | Kind::Object => Err(refused()),
    }
}

fn one_of(reader: &mut Reader<'_>, name: &str, allowed: &[&str]) -> Result<(), InvalidBody> {
    let one = reader.kind()? == Kind::String && allowed.contains(&&*reader.string()?.decoded());
    if one {
        return Ok(());
    }
    let allowed = allowed.join(", ");
    Err(InvalidBody::of(
        name,
        format!(
            "{name} must be {allowed} or left out: others have prices that are not in the price book."
        ),
    ))
}

fn only_text(name: &str) -> InvalidBody {
    InvalidBody::of(
        name,
        format!("{name} must be [\"text\"] or left out: other answers are not priced here."),
    )
}
