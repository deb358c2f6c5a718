//! The checks that the crate makes, on the system's clock, and the gaps that it leaves.

use serde_json::json;

use super::*;
use crate::{
    clock::unix_seconds,
    tenant::{
        claims,
        keys::KeySet,
        shape::Header,
        testing::{self, jwk, set, sign},
    },
};

fn rules() -> VerifierConfig {
    VerifierConfig::new("issuer", "tollgate")
}

/// Valid claims with one changed. `null` removes the claim.
fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = testing::claims();
    claims["exp"] = json!(unix_seconds().saturating_add(60));
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

/// The crate's answer for a token with this header and these claims, without our checks of the header.
fn decode(header: &Value, claims: &Value) -> Result<Map<String, Value>, Denial> {
    let token = sign(0, &header.to_string(), &claims.to_string());
    let keys = KeySet::parse(set(&[jwk(0, "a")]).as_bytes(), &[Algorithm::Rs256]).unwrap();
    let decoder = Decoder::new(&rules(), &Clock::System);
    decoder.decode(&token, Algorithm::Rs256, keys.find(None).unwrap().decoding(Algorithm::Rs256)?)
}

#[test]
fn the_crate_itself_refuses_what_it_is_there_to_refuse() {
    let header = json!({"alg": "RS256"});
    assert!(decode(&header, &claims_with("jti", json!("1"))).is_ok());
    for (name, value, denial) in [
        ("exp", json!(unix_seconds() - 60), Denial::Expired),
        ("exp", json!("soon"), Denial::Claims),
        ("exp", Value::Null, Denial::Claims),
        ("nbf", json!(unix_seconds() + 60), Denial::NotYetValid),
        ("nbf", json!("now"), Denial::Claims),
        ("iss", json!("another"), Denial::Issuer),
        ("iss", json!(1), Denial::Claims),
        ("iss", Value::Null, Denial::Claims),
        ("aud", json!(["another"]), Denial::Audience),
        ("aud", json!(["tollgate", 1]), Denial::Claims),
        ("aud", Value::Null, Denial::Claims),
        ("sub", json!(7), Denial::Claims),
        // The crate's parser stops at the bracket, so the crate reports malformed JSON.
        ("sub", json!(["ada"]), Denial::Malformed),
        ("sub", Value::Null, Denial::Claims),
    ] {
        let claims = claims_with(name, value);
        assert_eq!(decode(&header, &claims), Err(denial), "{claims}");
    }
    // Signed with the good key, but the header names another algorithm or none.
    for alg in ["RS384", "PS256", "HS256", "ES256"] {
        let claims = claims_with("jti", json!("1"));
        assert_eq!(decode(&json!({ "alg": alg }), &claims), Err(Denial::Algorithm), "{alg}");
    }
    let claims = claims_with("jti", json!("1"));
    assert_eq!(decode(&json!({"alg": "none"}), &claims), Err(Denial::Malformed));
}

/// Each case is the reason for a check of ours. Once the crate refuses a case, that check can be removed.
#[test]
fn what_the_crate_lets_pass_is_refused_before_it_or_behind_it() {
    let good = claims_with("jti", json!("1"));
    for (name, value, denial) in [
        ("crit", json!(["x-unknown"]), Denial::Extension),
        ("b64", json!(false), Denial::Extension),
        ("zip", json!("DEF"), Denial::Extension),
        ("enc", json!("A256GCM"), Denial::Extension),
        ("typ", json!("secevent+jwt"), Denial::Type),
        ("kid", json!("a\n"), Denial::KeyId),
    ] {
        let mut header = json!({"alg": "RS256"});
        header[name] = value;
        assert!(decode(&header, &good).is_ok(), "{header}");
        let token = sign(0, &header.to_string(), &good.to_string());
        assert_eq!(Header::of(&token, &[Algorithm::Rs256]).unwrap_err(), denial, "{header}");
    }
    let now = unix_seconds();
    for (name, value, denial) in [
        ("iss", json!(["issuer", "another"]), Denial::Claims),
        ("sub", json!(""), Denial::Claims),
        ("sub", json!("a\nb"), Denial::Claims),
        ("iat", json!("now"), Denial::Claims),
        ("jti", json!(1), Denial::Claims),
        ("organization_id", json!("acme"), Denial::Organization),
        // The crate, on its own clock, accepts it within the leeway. Our clock is five seconds ahead, and refuses it.
        ("exp", json!(now - 5), Denial::Expired),
    ] {
        let claims = claims_with(name, value);
        let payload = decode(&json!({"alg": "RS256"}), &claims).unwrap();
        let at = if denial == Denial::Expired { now + 5 } else { now };
        assert_eq!(claims::read(payload, &rules(), at).err(), Some(denial), "{claims}");
    }
}
