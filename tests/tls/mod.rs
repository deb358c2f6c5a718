//! TLS to Postgres (on every kind of connection), to providers, and to the issuer of tokens. A peer without a valid
//! certificate receives no password, no provider's key and no prompt.
//!
//! The certificate authority is the test's own. The program runs as a process and trusts the authority by
//! `SSL_CERT_FILE`.

mod authority;
mod cancel;
mod door;
mod encrypted;
mod front;
mod keys;
mod modes;
mod plain;
mod process;
mod providers;
mod refused;
mod server;

use crate::{harness, program};
