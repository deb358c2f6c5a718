//! What the documentation says of the house is how it is built: the order of the stack, the floors of its rooms, and the
//! paths and errors of its pages.
#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a test ends where something is missing"
)]

mod floors;
mod imports;
mod pages;
mod stack;
