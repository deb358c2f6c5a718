//! An authority that signs certificates, good ones and others.

use std::{path::Path, sync::LazyLock};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio_rustls::TlsAcceptor;

/// The name by which everything here is called.
pub(crate) const HOST: &str = "localhost";

/// The one that processes are told to trust, and one that nobody trusts.
static TRUSTED: LazyLock<Authority> = LazyLock::new(|| Authority::new("An authority"));
static UNKNOWN: LazyLock<Authority> = LazyLock::new(|| Authority::new("Another one"));
/// Bears the name of the first one.
static FORGED: LazyLock<Authority> = LazyLock::new(|| Authority::new("An authority"));

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    UnknownRoot,
    /// Signed by an authority that only bears the name of the trusted one.
    Forged,
    /// Of another host, though at this address.
    OtherName,
    Expired,
    NotYetValid,
}

impl Flaw {
    /// Those that must be found.
    pub(crate) const ALL: [Self; 5] =
        [Self::UnknownRoot, Self::Forged, Self::OtherName, Self::Expired, Self::NotYetValid];

    /// What the program says of it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::None => "",
            Self::UnknownRoot => "UnknownIssuer",
            Self::Forged => "BadSignature",
            Self::OtherName => "certificate not valid for name \"localhost\"",
            Self::Expired => "certificate expired",
            Self::NotYetValid => "certificate not valid yet",
        }
    }
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }
}

/// A certificate and its key.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) pem: String,
    pub(crate) key_pem: String,
    der: CertificateDer<'static>,
    key_der: Vec<u8>,
}

impl Certificate {
    pub(crate) fn with(flaw: Flaw) -> Self {
        let name = if flaw == Flaw::OtherName { "elsewhere.test" } else { HOST };
        // The address is right in each of them: it is the name that counts.
        let mut params = CertificateParams::new([name.to_owned(), "127.0.0.1".to_owned()]).unwrap();
        match flaw {
            Flaw::Expired => params.not_after = date_time_ymd(2020, 1, 1),
            Flaw::NotYetValid => params.not_before = date_time_ymd(4000, 1, 1),
            Flaw::None | Flaw::UnknownRoot | Flaw::Forged | Flaw::OtherName => {}
        }
        let authority = match flaw {
            Flaw::UnknownRoot => &*UNKNOWN,
            Flaw::Forged => &*FORGED,
            Flaw::None | Flaw::OtherName | Flaw::Expired | Flaw::NotYetValid => &*TRUSTED,
        };
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &authority.0).unwrap();
        Self {
            pem: signed.pem(),
            key_pem: key.serialize_pem(),
            der: signed.der().clone(),
            key_der: key.serialize_der(),
        }
    }

    /// The server's side of TLS with this certificate, which speaks these protocols.
    pub(crate) fn acceptor(&self, protocols: &[&str]) -> TlsAcceptor {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key_der.clone()));
        let mut config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(std::sync::Arc::new(config))
    }
}

/// Writes the trusted authority's own certificate there.
pub(crate) fn write_root(path: &Path) {
    std::fs::write(path, TRUSTED.0.pem()).unwrap();
}
