//! Identity from end to end: the layer, a key set over real HTTP, and tokens that independent code has made.

#![cfg(feature = "http")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

mod attacks;
mod keys;
mod kit;

use crate::logs;
