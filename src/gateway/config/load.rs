//! Reads the file and the environment. `settings.rs` and `databases.rs` judge the values.

use std::path::Path;

use config::{Config as Sources, File, FileFormat, Value, ValueKind};
use serde_json::Value as Json;

use super::{Config, ConfigError, Database, Placement};
use crate::provider::upstream::UpstreamConfig;

pub(super) const PREFIX: &str = "TOLLGATE_";
const ENVIRONMENT: &str = "the environment";
/// Keys whose value in the environment is a list, separated by commas.
const LISTS: [&str; 4] = ["algorithms", "cors_origins", "forward_header_prefixes", "models"];

impl Config {
    /// The environment variables of this process, without those that are not valid Unicode.
    pub fn environment() -> Vec<(String, String)> {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        std::env::vars_os().filter_map(text).collect()
    }

    /// Reads `file`, if one is given, and the overrides in `environment` (names and values).
    ///
    /// Fails if the file cannot be read, a key is unknown, or a value has the wrong type. [`settings`](Self::settings)
    /// judges the values.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut sources = Sources::builder();
        if let Some(path) = file {
            let text = std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
            let parsed =
                Sources::builder().add_source(File::from_str(&text, FileFormat::Toml)).build();
            let parsed = parsed.map_err(|error| malformed(&error, Some(path)))?;
            check_keys(&parsed.cache, &path.display().to_string())?;
            // The file is parsed alone first, so that its errors name the file and not a variable.
            let alone: Self =
                parsed.clone().try_deserialize().map_err(|error| malformed(&error, Some(path)))?;
            refuse_password("database.url", alone.database.url.as_deref(), path)?;
            refuse_password("database.listen_url", alone.database.listen_url.as_deref(), path)?;
            for (name, placement) in &alone.database.placements {
                let key = |field| format!("database.placements.{name}.{field}");
                refuse_password(&key("url"), placement.url.as_deref(), path)?;
                refuse_password(&key("listen_url"), placement.listen_url.as_deref(), path)?;
            }
            sources = sources.add_source(parsed);
        }
        let mut overrides: Vec<_> = environment.into_iter().filter_map(override_of).collect();
        overrides.sort();
        for Override { key, variable, value } in overrides {
            check_override(&key, &variable)?;
            let list = key.rsplit_once('.').is_some_and(|(_, last)| LISTS.contains(&last));
            let value =
                if list { Value::new(None, list_of(&value)) } else { Value::new(None, value) };
            sources = sources.set_override(&key, value).map_err(|error| {
                ConfigError::Malformed(format!("environment variable {variable}: {error}"))
            })?;
        }
        let all = sources.build().map_err(|error| malformed(&error, None))?;
        all.try_deserialize().map_err(|error| malformed(&error, None))
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Override {
    key: String,
    variable: String,
    value: String,
}

/// `TOLLGATE_SERVER__LISTEN` is `server.listen`; `DATABASE_URL` is `database.url`.
fn override_of((variable, value): (String, String)) -> Option<Override> {
    if variable == "DATABASE_URL" {
        return Some(Override { key: "database.url".to_owned(), variable, value });
    }
    // Only names with `__` count: in a cluster with a service called `tollgate`, Kubernetes sets
    // `TOLLGATE_SERVICE_HOST`, `TOLLGATE_PORT` and the like for every container.
    let rest = variable.strip_prefix(PREFIX).filter(|rest| rest.contains("__"))?;
    let mut key = String::new();
    for part in rest.to_lowercase().split("__") {
        match part.parse::<usize>() {
            Ok(index) => key.extend(["[", &index.to_string(), "]"]),
            Err(_) if key.is_empty() => key.push_str(part),
            Err(_) => {
                key.push('.');
                key.push_str(part);
            }
        }
    }
    Some(Override { key, variable, value })
}

fn list_of(value: &str) -> ValueKind {
    let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
    ValueKind::Array(parts.map(|part| Value::new(None, part)).collect())
}

/// Stands for every name that the operator chooses, such as a placement's.
const ANY: &str = "NAME";

/// All keys, taken from a default configuration with one upstream and one further database. So the types are the only
/// list of keys.
fn schema() -> Json {
    let placements = [(ANY.to_owned(), Placement::default())].into();
    let database = Database { placements, ..Database::default() };
    let full = Config { database, upstream: vec![UpstreamConfig::unset()], ..Config::default() };
    serde_json::to_value(full).unwrap_or_default()
}

fn below<'a>(schema: &'a Json, name: &str) -> Option<&'a Json> {
    schema.get(name).or_else(|| schema.get(ANY))
}

fn check_override(key: &str, variable: &str) -> Result<(), ConfigError> {
    let mut at = &schema();
    for part in key.split('.') {
        let (name, index) = part.split_once('[').map_or((part, false), |(name, _)| (name, true));
        let next = below(at, name).and_then(|value| if index { value.get(0) } else { Some(value) });
        at = next.ok_or_else(|| unknown(key, format!("{ENVIRONMENT} ({variable})"), at))?;
    }
    Ok(())
}

fn check_keys(file: &Value, origin: &str) -> Result<(), ConfigError> {
    check_table(file, &schema(), "", origin)
}

fn check_table(value: &Value, schema: &Json, path: &str, origin: &str) -> Result<(), ConfigError> {
    match (&value.kind, schema) {
        (ValueKind::Table(table), Json::Object(_)) => {
            let mut names: Vec<_> = table.iter().collect();
            names.sort_by_key(|(name, _)| *name);
            for (name, value) in names {
                let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let inner =
                    below(schema, name).ok_or_else(|| unknown(&key, origin.to_owned(), schema))?;
                check_table(value, inner, &key, origin)?;
            }
            Ok(())
        }
        (ValueKind::Array(items), Json::Array(known)) => {
            let Some(inner) = known.first() else { return Ok(()) };
            for (index, item) in items.iter().enumerate() {
                check_table(item, inner, &format!("{path}[{index}]"), origin)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn unknown(key: &str, origin: String, known: &Json) -> ConfigError {
    let names: Vec<_> =
        known.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let expected = if names.is_empty() {
        "it has no keys below it".to_owned()
    } else {
        format!("known here: {}", names.join(", "))
    };
    ConfigError::UnknownKey { key: key.to_owned(), origin, expected }
}

/// Refuses a password in the file: it would be copied, committed and backed up with the file.
fn refuse_password(key: &str, url: Option<&str>, path: &Path) -> Result<(), ConfigError> {
    let user = url
        .and_then(|url| url.split_once("://"))
        .and_then(|(_, rest)| rest.split_once('@'))
        .map(|(user, _)| user);
    let in_query = url.is_some_and(|url| url.contains("password="));
    if in_query || user.is_some_and(|user| user.contains(':')) {
        let instead = if key == "database.url" { "set DATABASE_URL instead, or " } else { "" };
        let problem = format!(
            "holds a password in {}: {instead}refer to it as `env:NAME` or `file:/path`",
            path.display()
        );
        return Err(ConfigError::invalid(key, problem));
    }
    Ok(())
}

fn malformed(error: &config::ConfigError, file: Option<&Path>) -> ConfigError {
    let error = with_whole_keys(&error.to_string());
    ConfigError::Malformed(match file {
        Some(path) => format!("{}: {}", path.display(), error.trim_end()),
        None => error,
    })
}

/// Adds the missing dot to keys in an error: for items of a list, the library writes `upstream[0]credential`.
fn with_whole_keys(error: &str) -> String {
    let Some((before, key)) = error.split_once("for key `") else { return error.to_owned() };
    let mut whole = format!("{before}for key `");
    let mut after_bracket = false;
    for letter in key.chars() {
        if after_bracket && letter.is_alphanumeric() {
            whole.push('.');
        }
        after_bracket = letter == ']';
        whole.push(letter);
    }
    whole
}
