//! The order of the stack is told in one place and kept in another: they must agree.

use tollgate::Stacked;

/// The layers of the table in the crate's documentation, outermost first.
fn documented() -> Vec<&'static str> {
    let source = include_str!("../src/lib.rs");
    let rows = source.lines().filter_map(|line| line.strip_prefix("//! | [`"));
    rows.filter_map(|row| row.split("Layer`]").next()).collect()
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
