//! TLS to servers: which certificates are trusted, and by which library. For HTTP and Postgres alike.
//!
//! Root certificates are the machine's, or those in the files that `SSL_CERT_FILE` and `SSL_CERT_DIR` name. The crypto
//! provider is passed explicitly, so that the program that embeds this crate may choose the process-wide default of
//! `rustls`.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_native_certs::{CertificateResult, load_native_certs};

/// This machine has no root certificate that can be used.
#[derive(Debug, thiserror::Error)]
#[error("no usable root certificate was found; problems on the way: {0:?}")]
pub(crate) struct NoRoots(Vec<rustls_native_certs::Error>);

/// Reads the root certificates from the file system. A certificate that cannot be parsed is left out.
pub(crate) fn roots() -> Result<RootCertStore, NoRoots> {
    let CertificateResult { certs, errors, .. } = load_native_certs();
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(certs);
    if usable == 0 {
        return Err(NoRoots(errors));
    }
    if !errors.is_empty() {
        tracing::warn!(?errors, "some of the machine's root certificates cannot be read");
    }
    Ok(roots)
}

/// A client that trusts these roots, and shows no certificate of its own.
#[expect(
    clippy::expect_used,
    reason = "a provider with cipher suites for both versions is compiled in"
)]
pub(crate) fn trusting(roots: RootCertStore) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)
        .expect("cipher suites for TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
