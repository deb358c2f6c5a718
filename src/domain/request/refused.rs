//! Fields that a shared, metered gateway cannot let through, and why.

use super::InvalidBody;
use crate::domain::{
    endpoint::Spec,
    json::{Kind, Reader, folded},
};

const STATE: &str = "it reads or keeps state in the provider's account, which organizations share: send the whole conversation";
const PAYS: &str = "it bills or names somebody else at the provider: leave it out";
const HOSTED: &str = "tools that the provider runs have prices that are not in the price book: run them yourself and pass them as functions";
const SEARCH: &str = "a hosted search has a price that is not in the price book: pass a search of your own as a function";
const OTHER_MODEL: &str = "only the one model in `model` is checked and priced: leave it out";
const EXTRA_CALL: &str = "the provider makes a further call for it, which is billed apart: shorten the conversation yourself";

/// Fields that are refused everywhere unless they are empty (`null`, `false`, an empty list), each with what to do
/// instead. Other unknown fields are refused too; these are listed for a better reason than that nobody knows them.
const UNLESS_EMPTY: &[(&str, &str)] = &[
    (
        "store",
        "it keeps the answer in the provider's account, which organizations share: leave it out or send false",
    ),
    (
        "background",
        "it leaves the answer in the provider's account, which organizations share: leave it out or send false",
    ),
    ("previous_response_id", STATE),
    ("conversation", STATE),
    ("thread", STATE),
    (
        "container",
        "it runs in a container of the provider's account, which organizations share: leave it out",
    ),
    ("billing_policy", PAYS),
    ("fallback_credit_token", PAYS),
    ("user_profile_id", PAYS),
    ("workspace_id", PAYS),
    ("compaction", EXTRA_CALL),
    ("moderation", "a model that is not priced here judges the call for it: leave it out"),
    ("web_search_options", SEARCH),
    ("search_parameters", SEARCH),
    ("enable_search", SEARCH),
    ("mcp_servers", HOSTED),
    ("plugins", HOSTED),
    (
        "data_sources",
        "what the provider adds to the prompt has no bound: put the text into the messages",
    ),
    ("audio", "audio is not priced here: ask for text"),
];

/// Fields that choose another model, account or upstream than the one that was checked. No operator can allow them.
const NEVER: &[(&str, &str)] = &[
    ("models", OTHER_MODEL),
    ("fallbacks", OTHER_MODEL),
    ("user_config", OTHER_MODEL),
    ("preset", OTHER_MODEL),
    ("provider", "the upstream is the gateway's: leave it out"),
    ("api_key", "credentials are the gateway's: leave it out"),
    ("api_base", "the upstream is the gateway's: leave it out"),
    ("base_url", "the upstream is the gateway's: leave it out"),
];

/// Whether no operator can allow the field.
pub(super) fn is_never_allowed(name: &str) -> bool {
    let is = |name: &str| NEVER.iter().any(|(field, _)| *field == name);
    is(name) || folded(name).is_some_and(|name| is(&name))
}

/// Reads the value of a field that is not among those of the endpoint, and refuses it unless it says nothing.
pub(super) fn unknown(
    reader: &mut Reader<'_>,
    spec: &Spec,
    allowed: &[String],
    name: &str,
) -> Result<(), InvalidBody> {
    let why = |name: &str| UNLESS_EMPTY.iter().chain(NEVER).find(|(field, _)| *field == name);
    if let Some((_, why)) = why(name) {
        return empty(reader, name, why);
    }
    let is_known = |name: &str| {
        spec.field(name).is_some() || why(name).is_some() || allowed.iter().any(|one| one == name)
    };
    if let Some(known) = folded(name).filter(|name| is_known(name)) {
        return Err(variant(name, &known, name));
    }
    // Some clients send every field that they know, those without a value as `null`.
    if reader.null()? {
        return Ok(());
    }
    let name = shortened(name);
    let message = format!(
        "{name} is not a field that is known here, so what it costs has no bound. Leave it out, or ask the operator to allow it for the upstream of this model (allow_fields)."
    );
    Err(InvalidBody::of(&name, message))
}

/// Refuses a key that differs from one of `known` only by case, because some servers take one for the other. `place`
/// is the field that it is in.
pub(super) fn no_variant(key: &str, known: &[&str], place: &str) -> Result<(), InvalidBody> {
    match folded(key).filter(|folded| known.contains(&&**folded)) {
        None => Ok(()),
        Some(folded) => Err(variant(key, &folded, place)),
    }
}

#[cold]
pub(super) fn variant(key: &str, known: &str, place: &str) -> InvalidBody {
    let message = format!(
        "{} differs from {known} only by case, and some servers take one for the other: send {known}.",
        shortened(key)
    );
    InvalidBody::of(&shortened(place), message)
}

/// The beginning of a foreign name, for a message.
pub(super) fn shortened(name: &str) -> String {
    name.chars().take(64).collect()
}

/// Forms of the answer: only text.
pub(super) fn modalities(reader: &mut Reader<'_>, name: &str) -> Result<(), InvalidBody> {
    if reader.null()? {
        return Ok(());
    }
    if reader.kind()? != Kind::Array {
        return Err(only_text(name));
    }
    reader.array(|reader| {
        let text = reader.kind()? == Kind::String && reader.string()?.decoded() == "text";
        if text { Ok(()) } else { Err(only_text(name)) }
    })
}

/// Edits of the prompt by the provider: only those that remove something, without a further call.
pub(super) fn context_edits(reader: &mut Reader<'_>, name: &str) -> Result<(), InvalidBody> {
    const REMOVES: [&str; 2] = ["clear_thinking_", "clear_tool_uses_"];
    let refused = || {
        let message = format!(
            "{name} may only have edits of type clear_thinking_… and clear_tool_uses_…: for others the provider makes a further call, which is billed apart."
        );
        InvalidBody::of(name, message)
    };
    if reader.null()? {
        return Ok(());
    }
    if reader.kind()? != Kind::Object {
        return Err(InvalidBody::of(name, format!("{name} must be an object.")));
    }
    reader.object(|reader, key| {
        if reader.null()? {
            return Ok(());
        }
        if key != "edits" || reader.kind()? != Kind::Array {
            return Err(refused());
        }
        reader.array(|reader| {
            if reader.kind()? != Kind::Object {
                return Err(refused());
            }
            let mut removes = false;
            reader.object(|reader, key| {
                no_variant(&key, &["type"], name)?;
                if key != "type" || reader.kind()? != Kind::String {
                    return Ok(reader.skip()?);
                }
                let kind = reader.string()?.decoded();
                removes = REMOVES.iter().any(|prefix| kind.starts_with(prefix));
                Ok::<(), InvalidBody>(())
            })?;
            if removes { Ok(()) } else { Err(refused()) }
        })
    })
}

/// Refuses a value that is not empty.
pub(super) fn empty(reader: &mut Reader<'_>, name: &str, why: &str) -> Result<(), InvalidBody> {
    let refused = || InvalidBody::of(name, format!("{name} is not possible here; {why}."));
    match reader.kind()? {
        Kind::Null => Ok(reader.skip()?),
        Kind::Bool if !reader.bool()? => Ok(()),
        Kind::Array => reader.array(|_| Err(refused())),
        Kind::Bool | Kind::Number | Kind::String | Kind::Object => Err(refused()),
    }
}

/// Refuses a value that is not one of these.
pub(super) fn one_of(
    reader: &mut Reader<'_>,
    name: &str,
    allowed: &[&str],
) -> Result<(), InvalidBody> {
    if reader.null()? {
        return Ok(());
    }
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
