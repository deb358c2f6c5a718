//! Signing keys, and the file that contains them.

use std::{io, path::Path, sync::Arc};

use aws_lc_rs::{
    digest::{SHA256, digest},
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::{Value, json};
use tokio::{
    fs::{self, OpenOptions},
    io::AsyncWriteExt,
};

use super::IssuerError;

const PEM_LINE_BYTES: usize = 64;

/// An RSA-2048 key that signs.
pub(super) struct SigningKey {
    pair: KeyPair,
    kid: String,
}

impl SigningKey {
    pub(super) fn generate() -> Result<Self, IssuerError> {
        KeyPair::generate(KeySize::Rsa2048).map(Self::named).map_err(|_| IssuerError::Crypto)
    }

    /// Names the key by its thumbprint (RFC 7638), so that the name is the same after a restart.
    fn named(pair: KeyPair) -> Self {
        let (n, e) = components(&pair);
        let canonical = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
        let kid = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()));
        Self { pair, kid }
    }

    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, IssuerError> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| IssuerError::Crypto)?;
        Ok(signature)
    }

    pub(super) fn public_jwk(&self) -> Value {
        let (n, e) = components(&self.pair);
        json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "n": n, "e": e})
    }
}

/// Modulus and exponent, as a key set spells them.
fn components(pair: &KeyPair) -> (String, String) {
    let public = pair.public_key();
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    (
        encode(public.modulus().big_endian_without_leading_zero()),
        encode(public.exponent().big_endian_without_leading_zero()),
    )
}

/// The keys in a file; none if there is no file.
pub(super) async fn read(file: &Path) -> Result<Option<Vec<Arc<SigningKey>>>, IssuerError> {
    let pem = match fs::read(file).await {
        Ok(pem) => pem,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(IssuerError::File { path: file.to_owned(), source }),
    };
    let parse = |der: PrivatePkcs8KeyDer<'_>| KeyPair::from_pkcs8(der.secret_pkcs8_der()).ok();
    let keys: Option<Vec<_>> = PrivatePkcs8KeyDer::pem_slice_iter(&pem)
        .map(|der| Some(Arc::new(SigningKey::named(parse(der.ok()?)?))))
        .collect();
    keys.filter(|keys| !keys.is_empty())
        .map(Some)
        .ok_or_else(|| IssuerError::NotKeys(file.to_owned()))
}

/// Replaces the file atomically: a reader sees either the old keys or the new ones.
pub(super) async fn write(file: &Path, keys: &[Arc<SigningKey>]) -> Result<(), IssuerError> {
    let mut pem = String::new();
    for key in keys {
        let der: Pkcs8V1Der<'_> = key.pair.as_der().map_err(|_| IssuerError::Crypto)?;
        push_pem(&mut pem, der.as_ref());
    }
    let replace = async {
        let fresh = file.with_extension(format!("{}.new", std::process::id()));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        options.mode(0o600);
        let mut writing = options.open(&fresh).await?;
        writing.write_all(pem.as_bytes()).await?;
        writing.sync_all().await?;
        fs::rename(&fresh, file).await
    };
    replace.await.map_err(|source| IssuerError::File { path: file.to_owned(), source })
}

fn push_pem(pem: &mut String, der: &[u8]) {
    let mut text = BASE64_STANDARD.encode(der);
    pem.push_str("-----BEGIN PRIVATE KEY-----\n");
    while !text.is_empty() {
        let rest = text.split_off(text.len().min(PEM_LINE_BYTES));
        pem.push_str(&text);
        pem.push('\n');
        text = rest;
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
}
