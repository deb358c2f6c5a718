//! Pages list what there is.

use tollgate::domain::endpoint::Endpoint;

/// The words between backticks in a text.
fn words(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_page_of_errors_lists_every_code_with_its_status() {
    let source = include_str!("../../src/refusal.rs");
    let (_, codes) = source.split_once("pub const fn code(&self)").unwrap();
    let (codes, _) = codes.split_once("\n    }\n").unwrap();
    let codes: Vec<&str> = codes.split('"').skip(1).step_by(2).collect();
    assert!(codes.len() > 15, "{codes:?}");
    let page = include_str!("../../docs/http.md");
    let listed = words(page.split_once("| status | code |").unwrap().1);
    for code in codes {
        assert!(listed.contains(&code), "docs/http.md does not list {code}");
    }
}

#[test]
fn the_page_of_paths_lists_every_path_that_is_served() {
    let source = include_str!("../../src/gateway/route.rs");
    let (_, of) = source.split_once("fn of(path").unwrap();
    let (of, _) = of.split_once("\n    }\n").unwrap();
    let calls = Endpoint::ALL.iter().map(|endpoint| endpoint.spec().path);
    let [http, switches] =
        [include_str!("../../docs/http.md"), include_str!("../../docs/kill-switch.md")];
    for path in of.split('"').skip(1).step_by(2).chain(calls) {
        // The page of the kill switch has a row for its scopes.
        let scope = path
            .strip_prefix("/admin/v1/kill-switches/")
            .map(|rest| rest.trim_end_matches("/{id}"));
        let listed = http.contains(path) || scope.is_some_and(|scope| switches.contains(scope));
        assert!(listed, "docs/http.md does not list {path}");
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages =
        vec![root.join("README.md"), root.join("CONTRIBUTING.md"), root.join("CHANGELOG.md")];
    pages.extend(std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    for page in
        pages.iter().filter(|page| page.extension().is_some_and(|extension| extension == "md"))
    {
        let text = std::fs::read_to_string(page).unwrap();
        for target in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let file = target.split('#').next().unwrap();
            if file.is_empty() || file.starts_with("http") {
                continue;
            }
            let there = page.parent().unwrap().join(file);
            assert!(there.exists(), "{}: {target}", page.display());
        }
    }
}

#[test]
fn the_readme_is_short() {
    let lines = include_str!("../../README.md").lines().count();
    assert!(lines <= 120, "{lines} lines: what explains a subject belongs on its page");
}
