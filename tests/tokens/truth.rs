//! What a call counts at `OpenAI`: its tables by another library, and the rules that it documents in its
//! cookbook ("How to count tokens with tiktoken").

use std::fmt::Write as _;

use serde_json::Value;

/// One family's table, and what it adds for each function.
pub(crate) struct Truth {
    table: fn() -> &'static bpe_openai::Tokenizer,
    per_function: u64,
}

impl Truth {
    pub(crate) const O200K: Self = Self { table: bpe_openai::o200k_base, per_function: 7 };
    pub(crate) const CL100K: Self = Self { table: bpe_openai::cl100k_base, per_function: 10 };

    pub(crate) fn count(&self, text: &str) -> u64 {
        u64::try_from((self.table)().count(text)).unwrap()
    }

    /// Three tokens for each message and for the answer's beginning, one for a name, and the texts.
    pub(crate) fn chat(&self, call: &Value) -> u64 {
        let messages = call["messages"].as_array().unwrap().iter().map(|message| {
            let fields = message.as_object().unwrap().iter().map(|(key, value)| {
                let text: String = match value.as_array() {
                    Some(parts) => {
                        parts.iter().map(|part| part["text"].as_str().unwrap()).collect()
                    }
                    None => value.as_str().unwrap().to_owned(),
                };
                self.count(&text) + u64::from(key == "name")
            });
            3 + fields.sum::<u64>()
        });
        3 + messages.sum::<u64>() + self.tools(&call["tools"])
    }

    pub(crate) fn tools(&self, tools: &Value) -> u64 {
        let Some(tools) = tools.as_array() else { return 0 };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let functions = tools.iter().map(|tool| {
            let function = &tool["function"];
            let line = format!("{}:{}", text(&function["name"]), text(&function["description"]));
            let properties = function["parameters"]["properties"].as_object().unwrap();
            let each = properties.iter().map(|(key, property)| {
                let kind = text(&property["type"]);
                let line = format!("{key}:{kind}:{}", text(&property["description"]));
                let items = property["enum"].as_array();
                let items = items.map_or(0, |items| {
                    let items = items.iter().map(|item| 3 + self.count(&text(item)));
                    items.sum::<u64>().saturating_sub(3)
                });
                3 + self.count(&line) + items
            });
            self.per_function + self.count(&line) + 3 + each.sum::<u64>()
        });
        functions.sum::<u64>() + 12
    }
}

/// Tools as a namespace of functions in TypeScript, as the open models of this vendor are told of them.
pub(crate) fn typescript(tools: &Value) -> String {
    let mut text = String::from("# Tools\n\n## functions\n\nnamespace functions {\n\n");
    let comment = |text: &mut String, value: &Value| {
        for line in value.as_str().unwrap_or_default().lines() {
            writeln!(text, "// {line}").unwrap();
        }
    };
    for tool in tools.as_array().unwrap() {
        let function = &tool["function"];
        comment(&mut text, &function["description"]);
        writeln!(text, "type {} = (_: {{", function["name"].as_str().unwrap()).unwrap();
        let parameters = &function["parameters"];
        let required = parameters["required"].as_array().unwrap();
        for (key, property) in parameters["properties"].as_object().unwrap() {
            comment(&mut text, &property["description"]);
            let optional = if required.iter().any(|name| name == key) { "" } else { "?" };
            let kind = match property["enum"].as_array() {
                Some(items) => items.iter().map(Value::to_string).collect::<Vec<_>>().join(" | "),
                None => property["type"].as_str().unwrap().to_owned(),
            };
            writeln!(text, "{key}{optional}: {kind},").unwrap();
        }
        text.push_str("}) => any;\n\n");
    }
    text.push_str("} // namespace functions");
    text
}
