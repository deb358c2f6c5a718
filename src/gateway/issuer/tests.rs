use serde_json::Value;

use ::http::{Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};

use super::*;
use crate::tenant::{KeySource, Verifier, VerifierConfig};

fn organization() -> OrganizationId {
    OrganizationId::new(Uuid::new_v4())
}

fn verifier(issuer: &DevIssuer) -> Verifier {
    let config = VerifierConfig {
        role_claim: Some("/role".into()),
        ..VerifierConfig::new("dev", "tollgate")
    };
    Verifier::new(config, KeySource::fixed(issuer.jwks())).unwrap()
}

async fn post(issuer: &DevIssuer, body: String) -> (StatusCode, Value) {
    let request = Request::post(TOKEN_PATH).body(Full::<Bytes>::from(body)).unwrap();
    let response = issuer.handle(request).await;
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn a_token_asked_for_over_http_says_what_was_asked_for() {
    let issuer = DevIssuer::ephemeral("dev", "tollgate").unwrap();
    let (organization, team) = (organization(), Uuid::new_v4());
    let asked = json!({"organization_id": organization, "user_id": "ada", "role": "admin", "team_id": team});
    let (status, answer) = post(&issuer, asked.to_string()).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer["expires_at"].as_i64().unwrap() > unix_seconds());

    let tenant = verifier(&issuer).verify(answer["token"].as_str().unwrap()).await.unwrap();
    assert_eq!(tenant.organization_id(), organization);
    assert_eq!(tenant.role(), Some(Role::Admin));
    let claims: Value = serde_json::from_str(tenant.claims()).unwrap();
    assert_eq!(claims["aud"], "tollgate");
}

#[tokio::test]
async fn bad_input_is_answered_with_what_is_wrong() {
    let issuer = DevIssuer::ephemeral("dev", "tollgate").unwrap();
    let organization_id = organization();
    for (asked, hint) in [
        (json!({"user_id": "ada", "role": "member"}), "organization_id"),
        (json!({"organization_id": "acme", "user_id": "ada", "role": "member"}), "UUID"),
        (json!({"organization_id": organization_id, "user_id": "ada", "role": "god"}), "god"),
        (json!({"organization_id": organization_id, "user_id": "", "role": "member"}), "user_id"),
        (
            json!({"organization_id": organization_id, "user_id": "a", "role": "member", "ttl": 1}),
            "ttl",
        ),
        (json!("x"), "struct"),
    ] {
        let (status, answer) = post(&issuer, asked.to_string()).await;
        assert_eq!(status, 400);
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(hint), "{asked}: {message}");
    }
    assert_eq!(post(&issuer, "x".repeat(20_000)).await.0, 400);
}

#[tokio::test]
async fn a_time_to_live_is_cut_at_both_ends() {
    let issuer = DevIssuer::ephemeral("dev", "tollgate").unwrap();
    for (asked, given) in [(-5, 1), (0, 1), (60, 60), (i64::MAX, 24 * 3600)] {
        let body = json!({"organization_id": organization(), "user_id": "a", "role": "member", "ttl_seconds": asked});
        let now = unix_seconds();
        let expires_at = post(&issuer, body.to_string()).await.1["expires_at"].as_i64().unwrap();
        assert!((now + given..=now + given + 5).contains(&expires_at), "{asked}");
    }
}

#[tokio::test]
async fn after_a_rotation_old_tokens_hold_until_their_key_is_retired() {
    let issuer = DevIssuer::ephemeral("dev", "tollgate").unwrap();
    let grant = Grant::new(organization(), "ada");
    let old = issuer.issue(&grant).unwrap().token;
    issuer.rotate().await.unwrap();
    let new = issuer.issue(&grant).unwrap().token;
    let both = verifier(&issuer);
    assert!(both.verify(&old).await.is_ok());
    assert!(both.verify(&new).await.is_ok());
    issuer.retire().await.unwrap();
    let one = verifier(&issuer);
    assert!(one.verify(&old).await.is_err());
    assert!(one.verify(&new).await.is_ok());
}

#[tokio::test]
async fn keys_survive_a_restart_in_a_file_for_the_owner_alone() {
    let file = std::env::temp_dir().join(format!("tollgate-issuer-{}.pem", Uuid::new_v4()));
    let first = DevIssuer::open("dev", "tollgate", file.clone()).await.unwrap();
    first.rotate().await.unwrap();
    let token = first.issue(&Grant::new(organization(), "ada")).unwrap().token;
    let second = DevIssuer::open("dev", "tollgate", file.clone()).await.unwrap();
    assert_eq!(second.jwks(), first.jwks());
    assert!(verifier(&second).verify(&token).await.is_ok());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    std::fs::write(&file, "not a key").unwrap();
    let refused = DevIssuer::open("dev", "tollgate", file.clone()).await.unwrap_err();
    assert!(matches!(refused, IssuerError::NotKeys(_)), "{refused}");
    std::fs::remove_file(file).unwrap();
}
