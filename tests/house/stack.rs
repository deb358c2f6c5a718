//! The order of the stack is told in two places and kept in a third: they must agree.

use std::convert::Infallible;

use http::{Request, Response};
use tollgate::{
    Stacked, Tenant,
    tenant::{KeySource, TenantLayer, Verifier, VerifierConfig},
};
use tower::{ServiceBuilder, ServiceExt, service_fn};

/// The layers of the table in the crate's documentation, outermost first.
fn documented() -> Vec<&'static str> {
    table().into_iter().map(|(layer, _)| layer).collect()
}

/// As [`documented`], each with the statuses that it refuses with.
fn table() -> Vec<(&'static str, Vec<&'static str>)> {
    let source = include_str!("../../src/lib.rs");
    let rows = source.lines().filter_map(|line| line.strip_prefix("//! | [`"));
    rows.filter_map(|row| {
        let refuses = row.trim_end_matches([' ', '|']).rsplit('|').next()?;
        Some((row.split("Layer`]").next()?, numbers(refuses)))
    })
    .collect()
}

/// The layers of the README's drawing, outermost first, each with the statuses that stand behind it.
fn drawn() -> Vec<(&'static str, Vec<&'static str>)> {
    let lines =
        include_str!("../../README.md").lines().filter_map(|line| Some(line.split_once("──► ")?.1));
    lines
        .filter_map(|line| {
            let (layer, rest) = line.split_once("Layer ")?;
            Some((
                layer,
                rest.rsplit_once(" else ").map_or(Vec::new(), |(_, otherwise)| numbers(otherwise)),
            ))
        })
        .collect()
}

fn numbers(text: &str) -> Vec<&str> {
    text.split(|letter: char| !letter.is_ascii_digit()).filter(|word| !word.is_empty()).collect()
}

#[test]
fn the_documented_order_is_the_order_of_the_stack() {
    let built = std::any::type_name::<Stacked<()>>();
    let positions: Vec<_> = documented()
        .into_iter()
        .map(|layer| {
            let room = format!("::{}::", layer.to_lowercase());
            built.find(&room).unwrap_or_else(|| panic!("{layer} is not in {built}"))
        })
        .collect();
    assert_eq!(positions.len(), 6, "all six layers are documented");
    assert!(positions.is_sorted(), "documented {:?}, built {built}", documented());
}

#[test]
fn the_readme_draws_the_layers_in_that_order_and_with_the_same_statuses() {
    assert_eq!(drawn(), table());
}

#[tokio::test]
async fn one_layer_goes_around_a_service_as_the_readme_says() {
    let config = VerifierConfig::new("https://issuer.example", "my-service");
    let verifier = Verifier::new(config, KeySource::fixed(r#"{"keys": []}"#.to_owned())).unwrap();
    let your_service = service_fn(|request: Request<()>| async move {
        assert!(Tenant::of(&request).is_some());
        Ok::<_, Infallible>(Response::new(()))
    });
    let gateway = ServiceBuilder::new().layer(TenantLayer::new(verifier)).service(your_service); // finds `Tenant` in the request's extensions
    assert_eq!(gateway.oneshot(Request::new(())).await.unwrap().status(), 401);

    // These lines, but for where they are broken.
    let block = include_str!("../../README.md").split_once("```rust\n").unwrap().1;
    let block = block.split_once("```").unwrap().0;
    let close = |text: &str| text.split_whitespace().collect::<String>();
    assert!(close(include_str!("stack.rs")).contains(&close(block)), "{block}");
}
