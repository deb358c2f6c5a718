//! One layer in front of any service: it identifies the caller by a signed token.
//!
//! `cargo run --example one_layer` signs a token with its own key, gives the verifier the public key, and shows which
//! tokens are accepted. With a real issuer, only the key source changes:
//! `KeySource::published(JwksOptions::new("https://..."), HttpClient::default())`.
//!
//! It prints:
//! ```text
//! a good token: 200 OK
//! the same, from the cache: 200 OK
//! a token for another service: 401 Unauthorized
//! a token cut short: 401 Unauthorized
//! a password: 401 Unauthorized
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{convert::Infallible, error::Error};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tollgate::{
    Tenant,
    tenant::{KeySource, TenantLayer, Verifier, VerifierConfig},
};
use tower::{ServiceBuilder, ServiceExt, service_fn};

const ORGANIZATION: &str = "0192f0c0-0000-7000-8000-000000000001";
/// The year 2100, so that the example needs no clock.
const EXPIRES: u64 = 4_102_444_800;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let key = KeyPair::generate(KeySize::Rsa2048)?;
    let config = VerifierConfig {
        role_claim: Some("/role".to_owned()),
        ..VerifierConfig::new("https://issuer.example", "my-service")
    };
    let verifier = Verifier::new(config, KeySource::fixed(key_set(&key)))?;

    // Any service can be here. This function answers with the caller's name.
    let inner = service_fn(|request: Request<String>| async move {
        let who = Tenant::of(&request).map(|tenant| {
            assert!(
                !request.headers().contains_key("authorization"),
                "credentials end at the layer"
            );
            format!("{} of {}", tenant.user_id(), tenant.organization_id())
        });
        Ok::<_, Infallible>(Response::new(who.unwrap_or_default()))
    });
    let service = ServiceBuilder::new().layer(TenantLayer::new(verifier)).service(inner);

    let claims = |audience: &str| {
        json!({
            "iss": "https://issuer.example", "aud": audience, "sub": "ada", "exp": EXPIRES,
            "organization_id": ORGANIZATION, "role": "member",
        })
    };
    let token = sign(&key, &claims("my-service"))?;
    let elsewhere = sign(&key, &claims("another-service"))?;

    for (what, authorization, expected) in [
        ("a good token", format!("Bearer {token}"), StatusCode::OK),
        ("the same, from the cache", format!("Bearer {token}"), StatusCode::OK),
        ("a token for another service", format!("Bearer {elsewhere}"), StatusCode::UNAUTHORIZED),
        (
            "a token cut short",
            format!("Bearer {}", token.trim_end_matches(|c| c != '.')),
            StatusCode::UNAUTHORIZED,
        ),
        ("a password", "Basic YWRhOnNlY3JldA==".to_owned(), StatusCode::UNAUTHORIZED),
    ] {
        let request = Request::builder()
            .header("authorization", authorization)
            .header("x-organization-id", "someone-else")
            .body(String::new())?;
        let response = service.clone().oneshot(request).await?;
        println!("{what}: {}", response.status());
        assert_eq!(response.status(), expected, "{what}");
    }
    Ok(())
}

/// The key set that an issuer publishes.
fn key_set(key: &KeyPair) -> String {
    let public = key.public_key();
    let n = BASE64_URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero());
    let e = BASE64_URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero());
    json!({"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1", "n": n, "e": e}]})
        .to_string()
}

/// Signs a token, as an issuer does.
fn sign(key: &KeyPair, claims: &Value) -> Result<String, Box<dyn Error>> {
    let header = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT","kid":"1"}"#);
    let message = format!("{header}.{}", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)?;
    Ok(format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
}
