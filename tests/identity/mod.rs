//! Identity from end to end: the layer, a key set over real HTTP, and tokens that independent code has made.

mod attacks;
mod keys;
mod kit;

use crate::logs;
