//! What is known to be tried against verifiers of tokens: each ends in 401, and nothing reaches
//! the inner service.

use serde_json::{Value, json};
use tollgate::tenant::KeySource;

use super::kit::{Gateway, ORGANIZATION, Signer, b64, claims, hmac, now, pem};

struct Attack {
    gateway: Gateway,
    signer: Signer,
    /// The attacker's own key.
    stranger: Signer,
}

impl Attack {
    fn new() -> Self {
        let signer = Signer::new("good");
        let gateway = Gateway::with(KeySource::fixed(json!({"keys": [signer.jwk]}).to_string()));
        Self { gateway, signer, stranger: Signer::new("good") }
    }

    /// The good token is let in, so that what follows is refused for its own fault.
    async fn all_fail(&self, tokens: impl IntoIterator<Item = String>) {
        assert_eq!(self.gateway.call(&self.signer.token(&claims())).await, 200);
        let before = self.gateway.reached();
        for (n, token) in tokens.into_iter().enumerate() {
            let shown: String = token.chars().take(200).collect();
            assert_eq!(self.gateway.call(&token).await, 401, "{n}: {shown}");
        }
        assert_eq!(self.gateway.reached(), before);
    }

    /// A good token but for one member of its header.
    fn header_with(&self, name: &str, value: Value) -> String {
        let mut header = self.signer.header();
        header[name] = value;
        self.signer.sign(&header.to_string(), &claims().to_string())
    }

    /// A good token but for one claim.
    fn claims_with(&self, name: &str, value: Value) -> String {
        let mut claims = claims();
        claims[name] = value;
        self.signer.token(&claims)
    }
}

#[tokio::test]
async fn unsigned_tokens() {
    let attack = Attack::new();
    let good = attack.signer.token(&claims());
    let parts: Vec<_> = good.split('.').collect();
    let none = |alg: &str| b64(json!({"alg": alg, "typ": "JWT", "kid": "good"}).to_string());
    let mut tokens = vec![
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.{}.{}", parts[0], parts[1], b64([0; 256])),
        format!("{}.{}.{}", parts[0], parts[1], b64([0])),
        format!("{}.{}.AA", parts[0], parts[1]),
        format!("{}.{}.null", parts[0], parts[1]),
    ];
    for alg in ["none", "None", "NONE", "nOnE", "NoNe", "none ", "", "null"] {
        for signature in ["", parts[2], "AA"] {
            tokens.push(format!("{}.{}.{signature}", none(alg), parts[1]));
        }
        tokens.push(format!("{}.{}", none(alg), parts[1]));
    }
    attack.all_fail(tokens).await;
}

#[tokio::test]
async fn the_public_key_as_a_shared_secret() {
    let attack = Attack::new();
    let der = &attack.signer.public_der;
    let secrets = [
        der.clone(),
        pem("PUBLIC KEY", der).into_bytes(),
        pem("PUBLIC KEY", der).trim_end().as_bytes().to_vec(),
        attack.signer.jwk["n"].as_str().unwrap().as_bytes().to_vec(),
        attack.signer.jwk.to_string().into_bytes(),
        Vec::new(),
    ];
    let mut tokens = Vec::new();
    for secret in &secrets {
        for alg in ["HS256", "HS384", "HS512", "RS256"] {
            let header = json!({"alg": alg, "typ": "JWT", "kid": "good"}).to_string();
            tokens.push(hmac(&header, &claims().to_string(), secret));
        }
    }
    attack.all_fail(tokens).await;
}

#[tokio::test]
async fn keys_that_the_token_brings_along() {
    let attack = Attack::new();
    let payload = claims().to_string();
    let jwk = &attack.stranger.jwk;
    let headers = [
        json!({"alg": "RS256", "kid": "good"}),
        json!({"alg": "RS256", "jwk": jwk}),
        json!({"alg": "RS256", "kid": "good", "jwk": jwk}),
        json!({"alg": "RS256", "kid": "good", "jku": "https://attacker.test/jwks.json"}),
        json!({"alg": "RS256", "kid": "good", "x5u": "https://attacker.test/cert.pem"}),
        json!({"alg": "RS256", "kid": "good", "x5c": [b64(&attack.stranger.public_der)]}),
        json!({"alg": "RS256", "kid": "good", "x5t": "AAAA", "x5t#S256": "AAAA"}),
    ];
    attack
        .all_fail(headers.iter().map(|header| attack.stranger.sign(&header.to_string(), &payload)))
        .await;
}

#[tokio::test]
async fn key_ids_that_are_more_than_names() {
    let attack = Attack::new();
    let kids = [
        "../../../../dev/null",
        "/proc/sys/kernel/randomize_va_space",
        "file:///etc/passwd",
        "https://attacker.test/jwks.json",
        "good' UNION SELECT 'secret' --",
        "' OR '1'='1",
        "good\0",
        "good\n",
        " good",
        "good ",
        "GOOD",
        "|sleep 5",
        "$(id)",
        "",
        "gööd",
    ];
    let long = "g".repeat(129);
    let mut tokens: Vec<_> = kids
        .iter()
        .chain([&long.as_str()])
        .map(|kid| attack.header_with("kid", json!(kid)))
        .collect();
    for value in [json!(null), json!(1), json!(["good"]), json!({"kid": "good"}), json!(true)] {
        tokens.push(attack.header_with("kid", value));
    }
    attack.all_fail(tokens).await;
}

#[tokio::test]
async fn headers_that_change_what_the_signature_means() {
    let attack = Attack::new();
    let mut tokens = Vec::new();
    for (name, values) in [
        ("crit", vec![json!(["exp"]), json!(["x-unknown"]), json!([]), json!(null), json!("b64")]),
        ("b64", vec![json!(false), json!("false"), json!(null), json!(0)]),
        ("zip", vec![json!("DEF")]),
        ("enc", vec![json!("A256GCM")]),
        (
            "typ",
            vec![
                json!("secevent+jwt"),
                json!("JWE"),
                json!("dpop+jwt"),
                json!(""),
                json!(1),
                json!(null),
                json!(["JWT"]),
            ],
        ),
        (
            "alg",
            vec![
                json!("RS384"),
                json!("PS256"),
                json!("ES256"),
                json!("rs256"),
                json!("RS256 "),
                json!(null),
                json!(["RS256"]),
                json!(256),
            ],
        ),
    ] {
        tokens.extend(values.into_iter().map(|value| attack.header_with(name, value)));
    }
    tokens.push(attack.signer.sign(r#"{"typ":"JWT","kid":"good"}"#, &claims().to_string()));
    // RFC 7797 with a payload that is not encoded.
    let header = b64(r#"{"alg":"RS256","kid":"good","b64":false,"crit":["b64"]}"#);
    tokens.push(attack.signer.sign_encoded(&header, "plain"));
    attack.all_fail(tokens).await;
}

#[tokio::test]
async fn claims_of_another_type() {
    let attack = Attack::new();
    let odd = [
        json!(null),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(true),
        json!(""),
        json!([]),
        json!({}),
        json!([null]),
    ];
    let mut tokens = Vec::new();
    for name in ["iss", "aud", "sub", "exp", "organization_id"] {
        tokens.extend(odd.iter().map(|value| attack.claims_with(name, value.clone())));
        let mut missing = claims();
        missing.as_object_mut().unwrap().remove(name);
        tokens.push(attack.signer.token(&missing));
    }
    for (name, value) in [
        ("exp", json!((now() + 300).to_string())),
        ("exp", json!([now() + 300])),
        ("exp", json!({"$gt": 0})),
        ("nbf", json!("0")),
        ("nbf", json!(null)),
        ("nbf", json!([0])),
        ("iat", json!("0")),
        ("iat", json!(null)),
        ("jti", json!(1)),
        ("iss", json!(["https://issuer.test"])),
        ("iss", json!(["https://attacker.test", "https://issuer.test"])),
        ("iss", json!({"https://issuer.test": true})),
        ("aud", json!({"tollgate": true})),
        ("aud", json!([["tollgate"]])),
        ("aud", json!(["tollgate", null])),
        ("sub", json!(["ada"])),
        ("organization_id", json!([ORGANIZATION])),
        ("organization_id", json!({"id": ORGANIZATION})),
        ("organization_id", json!("acme")),
        ("organization_id", json!(format!(" {ORGANIZATION}"))),
        ("organization_id", json!(format!("{ORGANIZATION}' OR true --"))),
    ] {
        tokens.push(attack.claims_with(name, value));
    }
    for payload in ["null", "[]", "1", "\"x\"", "", "{", "{}", "{\"exp\":1e999}"] {
        tokens.push(attack.signer.sign(&attack.signer.header().to_string(), payload));
    }
    tokens.push(
        attack
            .signer
            .sign_encoded(&b64(attack.signer.header().to_string()), &b64(b"{\"iss\":\"\xff\"}")),
    );
    attack.all_fail(tokens).await;
}

#[tokio::test]
async fn tokens_of_another_time_issuer_or_audience() {
    let attack = Attack::new();
    let tokens = [
        ("exp", json!(now() - 31)),
        ("exp", json!(0)),
        ("exp", json!(-1)),
        ("nbf", json!(now() + 60)),
        ("nbf", json!(4_102_444_800_u64)),
        ("nbf", json!(u64::MAX)),
        ("iss", json!("https://issuer.test/")),
        ("iss", json!("https://attacker.test")),
        ("iss", json!("HTTPS://ISSUER.TEST")),
        ("aud", json!("other")),
        ("aud", json!(["other", "another"])),
        ("aud", json!("tollgate ")),
        ("aud", json!("tollgate,other")),
    ];
    attack.all_fail(tokens.map(|(name, value)| attack.claims_with(name, value))).await;
}

#[tokio::test]
async fn one_key_twice() {
    let attack = Attack::new();
    let header = attack.signer.header().to_string();
    let payload = claims().to_string();
    let other = "0192f0c0-0000-7000-8000-0000000000ff";
    let twice = |field: &str| format!("{},{field}}}", payload.strip_suffix('}').unwrap());
    let mut tokens: Vec<_> = [
        format!(r#""organization_id":"{other}""#),
        // The same name, written with an escape.
        format!(r#""organization\u005fid":"{other}""#),
        format!(r#""exp":{}"#, now() + 9000),
        r#""sub":"root""#.to_owned(),
        r#""nested":{"a":1,"a":2}"#.to_owned(),
        r#""nested":[{"a":1,"a":2}]"#.to_owned(),
    ]
    .iter()
    .map(|field| attack.signer.sign(&header, &twice(field)))
    .collect();
    for header in [
        r#"{"alg":"RS256","alg":"none","kid":"good"}"#,
        r#"{"alg":"none","alg":"RS256","kid":"good"}"#,
        r#"{"alg":"RS256","kid":"bad","kid":"good"}"#,
    ] {
        tokens.push(attack.signer.sign(header, &payload));
    }
    attack.all_fail(tokens).await;
}

#[tokio::test]
async fn other_spellings_of_a_good_token() {
    let attack = Attack::new();
    let good = attack.signer.token(&claims());
    let parts: Vec<_> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    // The last character of a 256-byte signature has stray bits: other characters mean the same byte.
    let stray: String = {
        let (body, last) = signature.split_at(signature.len() - 1);
        let next = char::from(last.as_bytes()[0] + 1);
        format!("{body}{next}")
    };
    let mut tokens = vec![
        format!("{header}.{payload}.{signature}=="),
        format!("{header}.{payload}.{signature}="),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload} .{signature}"),
        format!("{header}.{payload}.{signature}."),
        format!("{header}.{payload}.{signature}.x"),
        format!(".{header}.{payload}.{signature}"),
        format!("{header}..{payload}.{signature}"),
        format!("{header}.{payload}.{signature}.{payload}.{signature}"),
        format!("{header}.{payload}.{stray}"),
        format!("{header}.{payload}.{signature}AA"),
        format!("{header}.{payload}.{signature}, Bearer x"),
        good.replace('.', ".\u{9}"),
        good.to_uppercase(),
        good.replace('_', "/").replace('-', "+") + "+",
        ".".to_owned(),
        "..".to_owned(),
        "x".to_owned(),
    ];
    let spelled = |part: &str, tail: &str| b64(format!("{part}{tail}"));
    let (raw_header, raw_payload) = (attack.signer.header().to_string(), claims().to_string());
    for tail in ["x", "{}", "\0", "/* */"] {
        tokens.push(attack.signer.sign_encoded(&b64(&raw_header), &spelled(&raw_payload, tail)));
        tokens.push(attack.signer.sign_encoded(&spelled(&raw_header, tail), &b64(&raw_payload)));
    }
    for padded in [format!("{}=", b64(&raw_payload)), format!("{}==", b64(&raw_payload))] {
        tokens.push(attack.signer.sign_encoded(&b64(&raw_header), &padded));
    }
    attack.all_fail(tokens).await;
}

#[tokio::test]
async fn tokens_too_large_to_look_at() {
    let attack = Attack::new();
    let padded = |bytes: usize| attack.claims_with("padding", json!("x".repeat(bytes)));
    assert_eq!(attack.gateway.call(&padded(4 * 1024)).await, 200, "large is fine");
    let deep = format!("{}{}", "[".repeat(2000), "]".repeat(2000));
    let deep = format!("{},\"deep\":{deep}}}", claims().to_string().strip_suffix('}').unwrap());
    let deep = attack.signer.sign(&attack.signer.header().to_string(), &deep);
    attack.all_fail([padded(8 * 1024), "A".repeat(100_000), ".".repeat(8000), deep]).await;
}

#[tokio::test]
async fn good_signatures_of_a_stranger() {
    let attack = Attack::new();
    let mut escalated = claims();
    escalated["organization_id"] = json!("0192f0c0-0000-7000-8000-0000000000ff");
    let good = attack.signer.token(&claims());
    let parts: Vec<_> = good.split('.').collect();
    attack
        .all_fail([
            attack.stranger.token(&claims()),
            format!("{}.{}.{}", parts[0], b64(escalated.to_string()), parts[2]),
            format!("{}.{}.{}", b64(r#"{"kid":"good","alg":"RS256"}"#), parts[1], parts[2]),
        ])
        .await;
}
