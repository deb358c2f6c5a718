//! The gateway's own changes, spliced into the caller's body.

use std::ops::Range;

use bytes::Bytes;

use super::Edits;
use crate::domain::{
    endpoint::Endpoint,
    json::{JsonError, Kind, Reader},
};

/// The body with these edits, and every other byte unchanged. Without edits, it shares the memory of the original.
///
/// Only for a body that [`read`](super::read) has accepted; any other is returned unchanged. Usage is only asked for if
/// the endpoint's streams report it on request. Embeddings have no output to cap.
///
/// ```
/// # use bytes::Bytes;
/// # use tollgate::domain::{endpoint::Endpoint, request::{Edits, apply_edits}};
/// let body = Bytes::from_static(br#"{ "model": "small", "stream": true, "messages": [] }"#);
/// let edits = Edits { include_usage: true, ..Edits::default() };
/// let edited = apply_edits(&body, Endpoint::ChatCompletions, edits);
/// assert_eq!(edited, r#"{"stream_options":{"include_usage":true}, "model": "small", "stream": true, "messages": [] }"#);
/// ```
pub fn apply_edits(body: &Bytes, endpoint: Endpoint, edits: Edits) -> Bytes {
    let Some(output) = endpoint.spec().output else { return body.clone() };
    let compatible = output.cap_compatible.filter(|_| edits.compatible_cap);
    let cap_field = compatible.unwrap_or(output.cap_sent);
    let include_usage = edits.include_usage && !edits.no_stream_options && output.usage_on_request;
    let tier = edits.standard_tier;
    if !include_usage && edits.output_cap.is_none() && tier.is_none() {
        return body.clone();
    }
    let Ok(found) = find(body, cap_field) else { return body.clone() };
    let mut splices = Vec::with_capacity(3);
    if include_usage {
        splices.push(match found.stream_options {
            None => field_at(found.first_field, r#""stream_options":{"include_usage":true}"#),
            Some(Options::Nothing(value)) => {
                Splice { at: value, text: r#"{"include_usage":true}"#.into() }
            }
            Some(Options::Object { include_usage: Some(value), .. }) => {
                Splice { at: value, text: "true".into() }
            }
            Some(Options::Object { first_field, empty, .. }) => Splice {
                at: first_field..first_field,
                text: if empty { r#""include_usage":true"# } else { r#""include_usage":true,"# }
                    .into(),
            },
        });
    }
    if let Some(cap) = edits.output_cap {
        splices.push(match found.cap {
            None => field_at(found.first_field, &format!("\"{cap_field}\":{cap}")),
            Some(value) => Splice { at: value, text: cap.to_string() },
        });
    }
    if let Some(tier) = tier {
        match found.tier {
            None => {
                splices.push(field_at(found.first_field, &format!("\"service_tier\":\"{tier}\"")));
            }
            Some(Tier { at, is_named: false }) => {
                splices.push(Splice { at, text: format!("\"{tier}\"") });
            }
            Some(Tier { is_named: true, .. }) => {}
        }
    }
    splice(body, splices)
}

struct Splice {
    at: Range<usize>,
    text: String,
}

/// Inserts a field before the first one. There always is a first one, as every body has a model.
fn field_at(first_field: usize, field: &str) -> Splice {
    Splice { at: first_field..first_field, text: format!("{field},") }
}

fn splice(body: &Bytes, mut splices: Vec<Splice>) -> Bytes {
    splices.sort_by_key(|splice| splice.at.start);
    let added = splices.iter().fold(0_usize, |sum, splice| sum.saturating_add(splice.text.len()));
    let mut edited = Vec::with_capacity(body.len().saturating_add(added));
    let mut from = 0;
    for Splice { at, text } in splices {
        edited.extend_from_slice(body.get(from..at.start).unwrap_or_default());
        edited.extend_from_slice(text.as_bytes());
        from = at.end;
    }
    edited.extend_from_slice(body.get(from..).unwrap_or_default());
    edited.into()
}

/// The places in a body that the edits need.
#[derive(Default)]
struct Found {
    /// The place after the opening brace.
    first_field: usize,
    stream_options: Option<Options>,
    cap: Option<Range<usize>>,
    tier: Option<Tier>,
}

/// The place of a service tier.
struct Tier {
    at: Range<usize>,
    /// Whether it is neither `null` nor `auto`.
    is_named: bool,
}

enum Options {
    /// The place of a `null`.
    Nothing(Range<usize>),
    Object {
        /// The place after the opening brace.
        first_field: usize,
        empty: bool,
        /// The value of `include_usage`.
        include_usage: Option<Range<usize>>,
    },
}

fn find(body: &[u8], cap_field: &str) -> Result<Found, JsonError> {
    let mut reader = Reader::new(body)?;
    let mut found = Found { first_field: reader.start().saturating_add(1), ..Found::default() };
    reader.object(|reader, key| {
        match &*key {
            "stream_options" => found.stream_options = Some(find_options(reader)?),
            "service_tier" => {
                let is_named = match reader.clone().string() {
                    Ok(name) => name.decoded() != "auto",
                    Err(_) => false,
                };
                found.tier = Some(Tier { at: value(reader)?, is_named });
            }
            key if key == cap_field => found.cap = Some(value(reader)?),
            _ => reader.skip()?,
        }
        Ok::<(), JsonError>(())
    })?;
    Ok(found)
}

fn find_options(reader: &mut Reader<'_>) -> Result<Options, JsonError> {
    if reader.kind()? != Kind::Object {
        return value(reader).map(Options::Nothing);
    }
    let first_field = reader.start().saturating_add(1);
    let (mut empty, mut include_usage) = (true, None);
    reader.object(|reader, key| {
        empty = false;
        match &*key {
            "include_usage" => include_usage = Some(value(reader)?),
            _ => reader.skip()?,
        }
        Ok::<(), JsonError>(())
    })?;
    Ok(Options::Object { first_field, empty, include_usage })
}

fn value(reader: &mut Reader<'_>) -> Result<Range<usize>, JsonError> {
    let start = reader.start();
    reader.skip()?;
    Ok(start..reader.position())
}
