//! Fields that an operator lets through to an upstream, although nothing here bounds what they cost.

use super::refused;
use crate::domain::{
    dialect::Dialect,
    endpoint::{Endpoint, Field},
    json::folded,
    policy::AllowList,
};

/// The further fields of each route, in the routes' order. As in the router, the first route that speaks the dialect
/// and serves the model counts, and no other.
///
/// ```
/// # use tollgate::domain::{dialect::Dialect, endpoint::Endpoint, policy::AllowList};
/// # use tollgate::domain::request::{AllowedFields, read, read_with};
/// let allowed = AllowedFields::default().route(
///     Dialect::OpenAi,
///     AllowList::Only(vec!["qwen-*".into()]),
///     vec!["enable_search".into()],
/// );
/// let body = br#"{"model":"qwen-max","enable_search":true,"messages":[]}"#;
/// assert_eq!(read(Endpoint::ChatCompletions, body).unwrap_err().field.as_deref(), Some("enable_search"));
/// assert!(read_with(Endpoint::ChatCompletions, body, &allowed).is_ok());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedFields(Vec<Route>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    dialect: Dialect,
    models: AllowList,
    fields: Vec<String>,
}

impl AllowedFields {
    /// No further fields, for any model.
    pub const NONE: &'static Self = &Self(Vec::new());

    /// Adds a route behind the others. A field that [cannot be allowed](Self::problem) is left out.
    #[must_use]
    pub fn route(mut self, dialect: Dialect, models: AllowList, mut fields: Vec<String>) -> Self {
        fields.retain(|field| Self::problem(dialect, field).is_none());
        self.0.push(Route { dialect, models, fields });
        self
    }

    /// The further fields of calls to `model`.
    pub(super) fn of(&self, dialect: Dialect, model: &str) -> &[String] {
        let mut routes = self.0.iter().filter(|route| route.dialect == dialect);
        let route = routes.find(|route| route.models.allows(model));
        route.map_or(&[], |route| &route.fields)
    }

    /// Why an upstream of this dialect cannot have the further field `name`; `None` if it can.
    pub fn problem(dialect: Dialect, name: &str) -> Option<&'static str> {
        let endpoints = || Endpoint::ALL.iter().filter(|endpoint| endpoint.dialect() == dialect);
        let known = |name: &str| endpoints().any(|endpoint| reads(endpoint.spec().field(name)));
        if name.is_empty() {
            return Some("a field has a name");
        }
        if known(name) {
            return Some("the gateway reads this field itself, and bounds what it costs");
        }
        if refused::is_never_allowed(name) {
            return Some(
                "it names another model, account or upstream than the one that is checked",
            );
        }
        let variant = folded(name).is_some_and(|name| known(&name));
        variant.then_some("it differs from a field that the gateway reads only by case")
    }
}

const fn reads(field: Option<Field>) -> bool {
    !matches!(field, None | Some(Field::Refused(_) | Field::NoCap))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_gateway_reads_and_what_names_another_model_cannot_be_allowed() {
        for name in [
            "model",
            "Model",
            "max_tokens",
            "me\u{17f}sages",
            "n",
            "tools",
            "models",
            "api_base",
            "",
        ] {
            assert!(AllowedFields::problem(Dialect::OpenAi, name).is_some(), "{name}");
        }
        for name in ["enable_search", "store", "max_output_tokens", "system"] {
            assert_eq!(AllowedFields::problem(Dialect::OpenAi, name), None, "{name}");
        }
        assert!(AllowedFields::problem(Dialect::Anthropic, "system").is_some());
        assert_eq!(AllowedFields::problem(Dialect::Anthropic, "n"), None);
    }

    #[test]
    fn the_first_route_of_a_model_counts_and_no_other() {
        let only = |name: &str| AllowList::Only(vec![name.into()]);
        let allowed = AllowedFields::default()
            .route(Dialect::Anthropic, AllowList::All, vec!["a".into()])
            .route(Dialect::OpenAi, only("qwen-*"), vec!["b".into()])
            .route(Dialect::OpenAi, AllowList::All, vec!["c".into()]);
        for (dialect, model, fields) in [
            (Dialect::OpenAi, "qwen-max", "b"),
            (Dialect::OpenAi, "gpt-4o", "c"),
            (Dialect::Anthropic, "qwen-max", "a"),
        ] {
            assert_eq!(allowed.of(dialect, model), [fields.to_owned()], "{model}");
        }
        let narrow = AllowedFields::default().route(Dialect::OpenAi, only("x"), vec!["a".into()]);
        assert!(narrow.of(Dialect::OpenAi, "y").is_empty());
    }
}
