//! Which file of the library imports which: read from its text, because the compiler does not tell.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Modules by their path, `["call", "open"]`, each with those that it names.
pub(crate) type Imports = BTreeMap<Vec<String>, BTreeSet<Vec<String>>>;

/// The library's modules, without their tests.
pub(crate) fn read() -> Imports {
    let mut texts = BTreeMap::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    collect(&source, &mut Vec::new(), &mut texts);
    let known: BTreeSet<Vec<String>> = texts.keys().cloned().collect();
    let named = |(module, text): (&Vec<String>, &String)| {
        let paths = paths(text).into_iter().filter_map(|path| resolve(module, &path, &known));
        (module.clone(), paths.filter(|other| other != module).collect())
    };
    texts.iter().map(named).collect()
}

fn collect(folder: &Path, at: &mut Vec<String>, texts: &mut BTreeMap<Vec<String>, String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            at.push(name);
            collect(&path, at, texts);
            at.pop();
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let mut module = at.clone();
            if name != "mod" && !(at.is_empty() && name == "lib") {
                module.push(name);
            }
            let of_tests =
                |part: &String| part == "testing" || part == "tests" || part.ends_with("_tests");
            if !module.iter().any(of_tests) {
                texts.insert(module, without_tests(&fs::read_to_string(&path).unwrap()));
            }
        }
    }
}

/// The code alone: no comments, and nothing that only tests compile.
fn without_tests(text: &str) -> String {
    let code: Vec<&str> =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let mut kept = String::new();
    let mut rest = code.as_str();
    while let Some((before, after)) = rest.split_once("#[cfg(test)]") {
        kept.push_str(before);
        // What follows ends with its own bracket or, where it has none before, with a semicolon.
        let end = after.find([';', '{']).unwrap();
        rest = if after[end..].starts_with(';') {
            &after[end..]
        } else {
            behind_bracket(&after[end..])
        };
    }
    kept + rest
}

fn behind_bracket(text: &str) -> &str {
    let mut depth = 0_usize;
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[at + 1..];
        }
    }
    ""
}

/// Every path that begins with `crate` or `super`, with trees of imports spread out.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for begin in ["crate::", "super::"] {
        for (at, _) in code.match_indices(begin) {
            let before = code[..at].chars().next_back();
            // The middle of a path: `super::super::x` counts from its first word.
            if before
                .is_some_and(|letter| letter == ':' || letter == '_' || letter.is_alphanumeric())
            {
                continue;
            }
            spread(&code[at..], &mut Vec::new(), &mut found);
        }
    }
    found
}

/// Reads one tree at the beginning of `text`, and returns what follows.
fn spread<'t>(text: &'t str, before: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'t str {
    let depth = before.len();
    let mut rest = text.trim_start();
    loop {
        if let Some(mut inner) = rest.strip_prefix('{') {
            loop {
                inner = inner.trim_start().trim_start_matches(',').trim_start();
                if let Some(after) = inner.strip_prefix('}') {
                    rest = after;
                    break;
                }
                let next = spread(inner, before, found);
                if next.len() == inner.len() {
                    // No tree of imports: a body that follows a path.
                    before.truncate(depth);
                    return text.trim_start().split_at(1).1;
                }
                inner = next;
            }
            break;
        }
        let end = rest
            .find(|letter: char| letter != '_' && !letter.is_alphanumeric())
            .unwrap_or(rest.len());
        before.push(rest[..end].to_owned());
        rest = &rest[end..];
        let Some(after) = rest.strip_prefix("::") else {
            found.push(before.clone());
            break;
        };
        rest = after;
    }
    before.truncate(depth);
    match rest.strip_prefix(" as ") {
        Some(renamed) => {
            renamed.trim_start_matches(|letter: char| letter == '_' || letter.is_alphanumeric())
        }
        None => rest,
    }
}

/// The module that a path names something of, seen from `module`.
fn resolve(
    module: &[String],
    path: &[String],
    known: &BTreeSet<Vec<String>>,
) -> Option<Vec<String>> {
    let mut at = module.to_vec();
    for (index, part) in path.iter().enumerate() {
        match (index, part.as_str()) {
            (0, "crate") => at.clear(),
            (_, "super") => drop(at.pop()),
            (_, "self") => {}
            _ => {
                at.push(part.clone());
                if !known.contains(&at) {
                    at.pop();
                    break;
                }
            }
        }
    }
    known.contains(&at).then_some(at)
}
