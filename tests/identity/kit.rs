//! An issuer with a real endpoint, and a gateway in front of a service that counts.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    hmac as mac,
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use axum::{Router, extract::State, response::IntoResponse, routing::get};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
use http::{Request, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};
use tollgate::{
    Tenant,
    client::HttpClient,
    tenant::{JwksOptions, KeySource, TenantLayer, Tenants, Verifier, VerifierConfig},
};
use tower::{Layer, ServiceExt, util::BoxCloneSyncService};

use super::logs;

pub(crate) const ORGANIZATION: &str = "0192f0c0-0000-7000-8000-000000000001";

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// A key that signs. Tokens are put together here, by no code of the crate that verifies them.
pub(crate) struct Signer {
    pub(crate) kid: String,
    pub(crate) jwk: Value,
    /// `SubjectPublicKeyInfo`: what attackers use as a secret.
    pub(crate) public_der: Vec<u8>,
    pair: KeyPair,
}

impl Signer {
    pub(crate) fn new(kid: &str) -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = pair.public_key();
        let jwk = json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid,
            "n": b64(public.modulus().big_endian_without_leading_zero()),
            "e": b64(public.exponent().big_endian_without_leading_zero()),
        });
        let spki: PublicKeyX509Der<'_> = public.as_der().unwrap();
        Self { kid: kid.to_owned(), jwk, public_der: spki.as_ref().to_vec(), pair }
    }

    pub(crate) fn header(&self) -> Value {
        json!({"alg": "RS256", "typ": "JWT", "kid": self.kid})
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        self.sign(&self.header().to_string(), &claims.to_string())
    }

    /// A good signature over whatever this is.
    pub(crate) fn sign(&self, header: &str, payload: &str) -> String {
        self.sign_encoded(&b64(header), &b64(payload))
    }

    pub(crate) fn sign_encoded(&self, header: &str, payload: &str) -> String {
        let signed = format!("{header}.{payload}");
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .unwrap();
        let signature = b64(signature);
        // Any token is known by its beginning, a good one by its end, too.
        logs::secret(&signature);
        format!("{signed}.{signature}")
    }
}

/// `BEGIN`, base64 in lines of 64, `END`.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<_> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

pub(crate) fn hmac(header: &str, payload: &str, secret: &[u8]) -> String {
    let signed = format!("{}.{}", b64(header), b64(payload));
    let signature = mac::sign(&mac::Key::new(mac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", b64(signature))
}

#[expect(clippy::disallowed_methods, reason = "tokens carry wall-clock times")]
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// What a good token says.
pub(crate) fn claims() -> Value {
    json!({
        "iss": "https://issuer.test", "aud": "tollgate", "sub": "ada",
        "organization_id": ORGANIZATION, "iat": now(), "exp": now() + 300,
    })
}

/// An issuer's endpoint that can be told what to answer, and counts who asks.
pub(crate) struct Issuer {
    pub(crate) url: String,
    shared: Arc<Endpoint>,
    _serving: JoinSet<()>,
}

struct Endpoint {
    answer: Mutex<(StatusCode, String, Option<String>)>,
    fetches: AtomicUsize,
    /// An answer needs a permit: none, and the issuer hangs.
    gate: Semaphore,
}

impl Issuer {
    pub(crate) async fn start(signers: &[&Signer]) -> Self {
        let shared = Arc::new(Endpoint {
            answer: Mutex::new((StatusCode::OK, String::new(), None)),
            fetches: AtomicUsize::new(0),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        });
        let routes = Router::new().route("/jwks", get(answer)).with_state(Arc::clone(&shared));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        let issuer = Self { url, shared, _serving: serving };
        issuer.publish(signers);
        issuer
    }

    pub(crate) fn publish(&self, signers: &[&Signer]) {
        let keys: Vec<_> = signers.iter().map(|signer| &signer.jwk).collect();
        self.answer(StatusCode::OK, &json!({ "keys": keys }).to_string());
    }

    pub(crate) fn answer(&self, status: StatusCode, body: &str) {
        *self.shared.answer.lock().unwrap() = (status, body.to_owned(), None);
    }

    pub(crate) fn redirect(&self, location: &str) {
        *self.shared.answer.lock().unwrap() =
            (StatusCode::FOUND, String::new(), Some(location.to_owned()));
    }

    pub(crate) fn hang(&self) {
        self.shared.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn go_on(&self) {
        self.shared.gate.add_permits(1000);
    }

    pub(crate) fn fetches(&self) -> usize {
        self.shared.fetches.load(Ordering::SeqCst)
    }

    pub(crate) fn options(&self) -> JwksOptions {
        JwksOptions { allow_http: true, ..JwksOptions::new(self.url.clone()) }
    }
}

async fn answer(State(endpoint): State<Arc<Endpoint>>) -> impl IntoResponse {
    endpoint.fetches.fetch_add(1, Ordering::SeqCst);
    let _permit = endpoint.gate.acquire().await.unwrap();
    let (status, body, location) = endpoint.answer.lock().unwrap().clone();
    let location = location.map(|location| [(header::LOCATION, location)]);
    (status, location.unwrap_or([(header::LOCATION, String::new())]), body)
}

type Inner = BoxCloneSyncService<Request<()>, Response<String>, Infallible>;

/// The layer around a service that counts who gets through.
#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) verifier: Verifier,
    service: Tenants<Inner>,
    reached: Arc<AtomicUsize>,
}

impl Gateway {
    /// Keys from the endpoint; resolves when the first fetch has ended.
    pub(crate) async fn start(options: JwksOptions) -> Self {
        let gateway = Self::with(KeySource::published(options, HttpClient::default()));
        gateway.verifier.first_fetch().await;
        gateway
    }

    pub(crate) fn with(keys: KeySource) -> Self {
        logs::listen();
        let verifier =
            Verifier::new(VerifierConfig::new("https://issuer.test", "tollgate"), keys).unwrap();
        let reached = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&reached);
        let inner = tower::service_fn(move |request: Request<()>| {
            count.fetch_add(1, Ordering::SeqCst);
            let tenant = Tenant::of(&request).unwrap().organization_id().to_string();
            async { Ok::<_, Infallible>(Response::new(tenant)) }
        });
        let service = TenantLayer::new(verifier.clone()).layer(BoxCloneSyncService::new(inner));
        Self { verifier, service, reached }
    }

    pub(crate) async fn call(&self, token: &str) -> u16 {
        let request =
            Request::builder().header("authorization", format!("Bearer {token}")).body(()).unwrap();
        self.service.clone().oneshot(request).await.unwrap().status().as_u16()
    }

    pub(crate) fn reached(&self) -> usize {
        self.reached.load(Ordering::SeqCst)
    }

    /// Calls until the answer is this status.
    pub(crate) async fn until(&self, token: &str, status: u16) {
        let calling = async {
            while self.call(token).await != status {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), calling).await.unwrap();
    }
}
