use std::slice;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Value, json};

use super::*;
use crate::tenant::{
    clock::Clock,
    config::VerifierConfig,
    decoder::Decoder,
    testing::{jwk, set},
};

fn parse(keys: &[Value]) -> KeySet {
    KeySet::parse(set(keys).as_bytes(), &[Algorithm::Rs256]).unwrap()
}

/// A good key with one member changed. `null` removes the member.
fn with(name: &str, value: Value) -> Value {
    let mut key = jwk(0, "a");
    if value.is_null() {
        key.as_object_mut().unwrap().remove(name);
    } else {
        key[name] = value;
    }
    key
}

#[test]
fn a_key_for_signatures_is_used() {
    // Some issuers prefix the modulus with the sign byte of ASN.1.
    let n = BASE64_URL_SAFE_NO_PAD.decode(jwk(0, "a")["n"].as_str().unwrap()).unwrap();
    for key in [
        jwk(0, "a"),
        with("use", Value::Null),
        with("alg", Value::Null),
        with("key_ops", json!(["sign", "verify"])),
        with("x5c", json!(["..."])),
        with("n", json!(BASE64_URL_SAFE_NO_PAD.encode([vec![0], n].concat()))),
    ] {
        assert!(parse(slice::from_ref(&key)).find(Some("a")).is_some(), "{key}");
    }
}

#[test]
fn any_other_key_is_left_out() {
    let modulus = |bits: usize| BASE64_URL_SAFE_NO_PAD.encode(vec![0xff; bits / 8]);
    for key in [
        with("use", json!("enc")),
        with("key_ops", json!(["encrypt"])),
        with("key_ops", json!([])),
        with("alg", json!("RS512")),
        with("alg", json!("HS256")),
        with("alg", json!("none")),
        with("kty", json!("oct")),
        with("kty", Value::Null),
        with("e", json!("Aw")),
        with("e", Value::Null),
        with("n", json!(modulus(1024))),
        with("n", json!(modulus(2040))),
        with("n", json!(modulus(8200))),
        with("n", json!("")),
        with("n", json!("+/==")),
        with("d", json!("AQAB")),
        with("kid", json!("")),
        with("kid", json!("a\n")),
        with("kid", json!("k".repeat(129))),
        with("kid", json!(7)),
        json!({"kty": "oct", "k": "c2VjcmV0", "kid": "a", "alg": "RS256"}),
        json!(7),
        json!({}),
    ] {
        assert_eq!(parse(slice::from_ref(&key)).len(), 0, "{key}");
        assert_eq!(parse(&[key.clone(), jwk(1, "b")]).len(), 1, "the others stay: {key}");
    }
}

#[test]
fn a_point_that_is_not_on_its_curve_is_no_key() {
    let coordinate = |byte: u8, bytes: usize| BASE64_URL_SAFE_NO_PAD.encode(vec![byte; bytes]);
    let allowed = [Algorithm::Es256, Algorithm::Es384];
    for (curve, bytes) in [("P-256", 32), ("P-384", 48), ("P-256", 31), ("P-521", 66)] {
        let (x, y) = (coordinate(1, bytes), coordinate(2, bytes));
        let key = json!({"kty": "EC", "crv": curve, "kid": "a", "x": x, "y": y});
        assert_eq!(KeySet::parse(set(&[key]).as_bytes(), &allowed).unwrap().len(), 0, "{curve}");
    }
}

#[test]
fn a_key_id_that_stands_for_two_keys_stands_for_neither() {
    let keys = parse(&[jwk(0, "a"), jwk(1, "a"), jwk(1, "b")]);
    assert!(keys.find(Some("a")).is_none());
    assert!(keys.find(Some("b")).is_some());
    // An unusable key with the same `kid` does not exclude the usable one.
    assert!(parse(&[jwk(0, "a"), with("use", json!("enc"))]).find(Some("a")).is_some());
}

#[test]
fn a_set_with_too_many_keys_is_refused_whole() {
    let keys: Vec<_> = (0..33).map(|n| jwk(0, &n.to_string())).collect();
    let parse = |keys: &[Value]| KeySet::parse(set(keys).as_bytes(), &[Algorithm::Rs256]);
    assert_eq!(parse(&keys).unwrap_err(), KeySetError::TooManyKeys);
    assert_eq!(parse(&keys[..32]).unwrap().len(), 32);
}

#[test]
fn a_key_that_stays_is_the_same_and_one_replaced_under_its_name_is_not() {
    let earlier = parse(&[jwk(0, "a"), jwk(1, "b")]);
    let stayed = earlier.find(Some("a")).unwrap();
    let later = parse(&[jwk(0, "a")]).sharing(&earlier);
    assert!(later.holds(stayed));
    let replaced = parse(&[jwk(1, "a")]).sharing(&earlier);
    assert!(!replaced.holds(stayed));
}

#[test]
fn without_a_name_the_only_key_is_found() {
    assert!(parse(&[jwk(0, "a")]).find(None).is_some());
    assert!(parse(&[jwk(0, "a"), jwk(1, "b")]).find(None).is_none());
    assert!(parse(&[]).find(None).is_none());
}

/// The examples of RFC 7515, appendix A.3, and RFC 8037, appendix A.
#[test]
fn the_examples_of_the_standards_verify() {
    let p256 = json!({
        "kty": "EC", "crv": "P-256", "kid": "ec",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    let ed25519 = json!({
        "kty": "OKP", "crv": "Ed25519", "kid": "ed",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    });
    let allowed = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];
    let keys = KeySet::parse(set(&[p256, ed25519]).as_bytes(), &allowed).unwrap();
    let config =
        VerifierConfig { algorithms: allowed.to_vec(), ..VerifierConfig::new("joe", "us") };
    let decoder = Decoder::new(&config, &Clock::System);
    for (kid, algorithm, fault, token) in [
        (
            "ec",
            Algorithm::Es256,
            Denial::Claims,
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            "ed",
            Algorithm::EdDsa,
            Denial::Malformed,
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ] {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let key = keys.find(Some(kid)).unwrap();
        let holds = |signature: &str, signed: &str| {
            let algorithm = algorithm.in_crate();
            jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key.decoding, algorithm)
        };
        assert_eq!(holds(signature, signed), Ok(true), "{kid}");
        assert_eq!(holds(signature, "other"), Ok(false));
        // CVE-2022-21449: a signature of zeros over anything.
        let zeros = BASE64_URL_SAFE_NO_PAD.encode([0; 64]);
        assert_eq!(holds(&zeros, signed), Ok(false));

        // As tokens they fail on their payload if the signature is valid, and on the signature if not.
        let decode = |token: &str, algorithm| {
            key.decoding(algorithm).and_then(|key| decoder.decode(token, algorithm, key))
        };
        assert_eq!(decode(token, algorithm), Err(fault), "{kid}");
        assert_eq!(decode(token, Algorithm::Rs256), Err(Denial::Algorithm));
        let forged = format!("{signed}.{zeros}");
        assert_eq!(decode(&forged, algorithm), Err(Denial::Signature));
    }
}
