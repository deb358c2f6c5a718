use std::{path::PathBuf, time::Duration};

use super::*;
use crate::{
    client::HttpClient,
    domain::{dialect::Dialect, policy::AllowList},
    postgres::{Prepared, membership::Membership},
    provider::upstream::{CapField, SecretRef},
    tenant::{Algorithm, KeySource, Verifier},
};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tollgate.toml");

fn no_environment() -> Vec<(String, String)> {
    Vec::new()
}

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A temporary file, removed on drop.
struct TempFile(PathBuf);

impl TempFile {
    fn with(text: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("tollgate-config-{}.toml", uuid::Uuid::new_v4()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

fn error_of(text: &str) -> String {
    let file = TempFile::with(text);
    let loaded = Config::load(Some(&file.0), no_environment());
    loaded.and_then(|config| judged(&config)).unwrap_err().to_string()
}

/// What `tollgate serve` asks of a configuration before it starts.
fn judged(config: &Config) -> Result<(), ConfigError> {
    config.databases().and(config.settings()).map(drop)
}

/// The sample, with a database that needs no environment.
fn sample() -> Config {
    let mut sample = Config::load(Some(SAMPLE.as_ref()), no_environment()).unwrap();
    sample.database.url = Some("postgres://db/x".to_owned());
    sample
}

#[test]
fn the_sample_file_is_complete_and_says_the_defaults() {
    let sample = sample();
    judged(&sample).unwrap();
    let defaults = Config::default();
    assert_eq!(
        sample.server,
        Server { admin_listen: sample.server.admin_listen, ..defaults.server }
    );
    assert_eq!(sample.database, Database { url: sample.database.url.clone(), ..defaults.database });
    assert_eq!(
        (sample.limits, sample.credit, sample.audit, &sample.log),
        (defaults.limits, defaults.credit, defaults.audit, &defaults.log)
    );

    // Every key appears in the sample, at least as a comment.
    let text = std::fs::read_to_string(SAMPLE).unwrap();
    let all = serde_json::to_value(Config {
        upstream: vec![UpstreamConfig::unset()],
        ..Config::default()
    })
    .unwrap();
    for (section, keys) in all.as_object().unwrap() {
        let keys = if keys.is_array() { &keys[0] } else { keys };
        for (key, value) in keys.as_object().unwrap() {
            let stands = if value.is_object() {
                text.contains(&format!("[{section}.{key}."))
            } else {
                text.contains(&format!("{key} = "))
            };
            assert!(stands, "{section}.{key} is missing in docs/tollgate.toml");
        }
    }
    // A further database appears as a comment, with all of its keys.
    let (_, placement) = text.split_once("# [database.placements.big]\n").unwrap();
    let lines = placement.lines().take_while(|line| line.starts_with("# "));
    let keys = lines.map(|line| &line[2..]).filter(|line| line.contains(" = "));
    let placement: Placement = ::config::Config::builder()
        .add_source(::config::File::from_str(
            &keys.collect::<Vec<_>>().join("\n"),
            ::config::FileFormat::Toml,
        ))
        .build()
        .and_then(::config::Config::try_deserialize)
        .unwrap();
    assert!(placement.url.is_some() && placement.listen_url.is_some());
    assert_eq!(placement.pool_size, Placement::default().pool_size);
}

#[test]
fn a_further_database_has_a_name_and_an_address_of_its_own() {
    let load = |text: &str| {
        let file = TempFile::with(text);
        Config::load(Some(&file.0), no_environment())
    };
    let with = |placement: &str| {
        load(&format!("[database]\nurl = \"postgres://db/x\"\n[database.placements.{placement}"))
    };
    let config = with("big]\nurl = \"postgres://big/x\"\n").unwrap();
    assert_eq!(config.placement_urls().unwrap()["big"], "postgres://big/x");
    assert_eq!(config.listen_urls().unwrap(), ["postgres://db/x", "postgres://big/x"]);
    let direct = "big]\nurl = \"postgres://pooler/x\"\nlisten_url = \"postgres://big/x\"\n";
    let config = with(direct).unwrap();
    assert_eq!(config.listen_urls().unwrap(), ["postgres://db/x", "postgres://big/x"]);
    for (placement, key) in [
        ("Big]\nurl = \"postgres://big/x\"\n", "database.placements.Big"),
        ("big]\npool_size = 2\n", "database.placements.big.url"),
        ("big]\nurl = \"big\"\n", "database.placements.big.url"),
        ("big]\nurl = \"postgres://big/x\"\nlisten_url = \"big\"\n", "big.listen_url"),
        ("big]\nurl = \"postgres://big/x\"\npool_size = 0\n", "big.pool_size"),
    ] {
        let error = with(placement).unwrap().placement_urls().unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
    let error = with("big]\nurl = \"postgres://me:hunter2@big/x\"\n").unwrap_err().to_string();
    assert!(error.contains("database.placements.big.url") && !error.contains("hunter2"), "{error}");
    let variable = ("TOLLGATE_DATABASE__PLACEMENTS__BIG__URL".into(), "postgres://big/x".into());
    let config = Config::load(None, [variable]).unwrap();
    assert_eq!(config.placement_urls().unwrap()["big"], "postgres://big/x");
}

#[test]
fn an_unknown_key_is_refused_with_its_name_its_file_and_the_known_ones() {
    let file = TempFile::with("[server]\nlisten = \"127.0.0.1:1\"\nlisen = \"127.0.0.1:1\"\n");
    let error = Config::load(Some(&file.0), no_environment()).unwrap_err().to_string();
    assert!(
        error.contains("`server.lisen`")
            && error.contains(file.0.to_str().unwrap())
            && error.contains("listen"),
        "{error}"
    );
    let error = error_of("[[upstream]]\nname = \"a\"\nurl = \"http://a\"\n");
    assert!(error.contains("`upstream[0].url`") && error.contains("base_url"), "{error}");
    let error = error_of("[serverr]\n");
    assert!(error.contains("`serverr`"), "{error}");
    let error = Config::load(None, environment(&[("TOLLGATE_SERVER__LISEN", "x")]))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`server.lisen`") && error.contains("TOLLGATE_SERVER__LISEN"),
        "{error}"
    );
}

#[test]
fn the_environment_overrides_every_kind_of_value() {
    let overrides = environment(&[
        ("TOLLGATE_SERVER__LISTEN", "127.0.0.1:1234"),
        ("TOLLGATE_SERVER__SHUTDOWN_GRACE", "5m"),
        ("TOLLGATE_SERVER__CONNECTIONS_MAX", "7"),
        ("TOLLGATE_IDENTITY__ALGORITHMS", "RS256, PS256"),
        ("TOLLGATE_SERVER__CORS_ORIGINS", "https://one.example.com, http://localhost:3000"),
        ("TOLLGATE_UPSTREAM__0__CREDENTIAL", "file:/run/secrets/key"),
        ("TOLLGATE_DATABASE__SEAL_KEY", "env:THE_KEY"),
        ("TOLLGATE_LOG__FORMAT", "json"),
        ("DATABASE_URL", "postgres://tollgate_login:secret@db/tollgate"),
    ]);
    let config = Config::load(Some(SAMPLE.as_ref()), overrides).unwrap();
    config.settings().unwrap();
    assert_eq!(config.server.listen, "127.0.0.1:1234".parse().unwrap());
    assert_eq!(config.server.shutdown_grace, Duration::from_mins(5));
    assert_eq!(config.server.connections_max, 7);
    assert_eq!(config.identity.algorithms, [Algorithm::Rs256, Algorithm::Ps256]);
    let origins = ["https://one.example.com", "http://localhost:3000"];
    assert_eq!(config.server.cors_origins, origins);
    assert_eq!(config.upstream[0].credential, Some(SecretRef::File("/run/secrets/key".into())));
    assert_eq!(config.database.seal_key, Some(SecretRef::Env("THE_KEY".into())));
    assert_eq!(config.upstream[0].name, "openai", "the rest of the upstream stays");
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.database_url().unwrap(), "postgres://tollgate_login:secret@db/tollgate");
}

#[test]
fn the_variables_that_a_cluster_sets_for_a_service_are_not_ours() {
    let theirs = environment(&[
        ("TOLLGATE_SERVICE_HOST", "10.0.0.1"),
        ("TOLLGATE_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
    ]);
    assert_eq!(Config::load(None, theirs).unwrap(), Config::default());
}

#[test]
fn a_value_that_cannot_be_right_is_refused_with_its_key() {
    for (text, key) in [
        ("[server]\nshutdown_grace = \"soon\"\n", "server.shutdown_grace"),
        ("[server]\nlisten = \"nowhere\"\n", "server.listen"),
        ("[server]\nconnections_max = -1\n", "server.connections_max"),
        ("[log]\nformat = \"xml\"\n", "log.format"),
        ("[database]\nprepared = \"never-ever\"\n", "database.prepared"),
        ("[database]\nmembership = \"litelm\"\n", "database.membership"),
        ("[identity]\nalgorithms = [\"HS256\"]\n", "identity.algorithms"),
        ("[limits]\nreplicas = 0\n", "limits.replicas"),
        ("[credit]\nwait_max = \"-1s\"\n", "credit.wait_max"),
        ("[[upstream]]\nname = \"a\"\ncredential = \"sk-live-value\"\n", "upstream[0].credential"),
        ("[database]\nseal_key = \"sk-live-value\"\n", "database.seal_key"),
    ] {
        let error = error_of(text);
        assert!(error.contains(key), "{key}: {error}");
        assert!(!error.contains("sk-live-value"), "{error}");
    }
}

#[test]
fn what_a_server_needs_is_asked_for_by_name() {
    let mut config = sample();
    let problem = |config: &Config| judged(config).unwrap_err().to_string();
    config.limits.replica_index = Some(1);
    assert!(problem(&config).contains("limits.replica_index"), "{}", problem(&config));
    config.limits.replica_index = Some(0);
    config.identity.leeway = Duration::from_secs(31);
    assert!(problem(&config).contains("identity.leeway"));
    config.identity.leeway = Duration::from_secs(30);
    config.credit.hold_ttl = Duration::from_millis(999);
    assert!(problem(&config).contains("credit.hold_ttl"));
    config.identity.jwks_url = None;
    assert!(problem(&config).contains("TOLLGATE_IDENTITY__JWKS_URL"), "{}", problem(&config));
    config.identity.issuer = Some(String::new());
    assert!(problem(&config).contains("TOLLGATE_IDENTITY__ISSUER"));
    config.database.url = None;
    assert!(problem(&config).contains("DATABASE_URL"));
}

#[test]
fn an_upstream_without_models_or_with_a_name_used_twice_is_refused() {
    let mut config = sample();
    config.upstream[1].name = config.upstream[0].name.clone();
    assert!(config.settings().unwrap_err().to_string().contains("used 2 times"));
    config.upstream[0].models = AllowList::Only(Vec::new());
    assert!(config.settings().unwrap_err().to_string().contains("upstream[0].models"));
    config.upstream.clear();
    assert!(config.settings().unwrap_err().to_string().contains("[[upstream]]"));
}

#[test]
fn a_field_that_the_gateway_reads_or_that_names_another_model_cannot_be_allowed() {
    for (field, why) in [
        ("max_tokens", "reads this field itself"),
        ("Model", "only by case"),
        ("models", "another model"),
        ("", "has a name"),
    ] {
        let mut config = Config::load(Some(SAMPLE.as_ref()), no_environment()).unwrap();
        config.upstream[0].allow_fields = vec!["enable_search".to_owned(), field.to_owned()];
        let error = config.settings().unwrap_err().to_string();
        assert!(error.contains("upstream[0].allow_fields") && error.contains(why), "{error}");
        config.upstream[0].allow_fields.pop();
        assert!(config.settings().is_ok());
    }
}

#[test]
fn changes_are_listened_for_at_the_servers_own_address() {
    let url = "postgres://me@db/x";
    let with = |listen_url: Option<&str>, prepared| {
        let listen_url = listen_url.map(str::to_owned);
        let database =
            Database { url: Some(url.into()), listen_url, prepared, ..Database::default() };
        Config { database, ..Config::default() }.listen_urls()
    };
    assert_eq!(with(None, Prepared::Auto).unwrap(), [url]);
    // A pooler does not pass notices on.
    assert!(with(None, Prepared::Never).unwrap().is_empty());
    for prepared in [Prepared::Auto, Prepared::Never] {
        let direct = "postgres://me@server/x";
        assert_eq!(with(Some(direct), prepared).unwrap(), [direct]);
    }
    let error = with(Some("server"), Prepared::Auto).unwrap_err().to_string();
    assert!(error.contains("database.listen_url"), "{error}");
}

#[test]
fn a_password_in_the_file_is_refused_and_not_repeated() {
    for url in ["postgres://me:hunter2@db/x", "postgres://db/x?user=me&password=hunter2"] {
        let error = error_of(&format!("[database]\nurl = \"{url}\"\n"));
        assert!(
            error.contains("database.url")
                && error.contains("DATABASE_URL")
                && !error.contains("hunter2"),
            "{error}"
        );
        let error = error_of(&format!("[database]\nlisten_url = \"{url}\"\n"));
        assert!(
            error.contains("database.listen_url")
                && error.contains("env:NAME")
                && !error.contains("DATABASE_URL")
                && !error.contains("hunter2"),
            "{error}"
        );
    }
}

#[test]
fn the_address_of_the_database_is_read_where_it_is_referred_to() {
    let file = TempFile::with("postgres://me:s3cret@db/x\n");
    let refers_to = |reference: &str| Config {
        database: Database { url: Some(reference.to_owned()), ..Database::default() },
        ..Config::default()
    };
    let config = refers_to(&format!("file:{}", file.0.display()));
    assert_eq!(config.database_url().unwrap(), "postgres://me:s3cret@db/x");
    let error =
        refers_to("env:TOLLGATE_TEST_NO_SUCH_VARIABLE").database_url().unwrap_err().to_string();
    assert!(
        error.contains("database.url") && error.contains("env:TOLLGATE_TEST_NO_SUCH_VARIABLE"),
        "{error}"
    );
}

#[test]
fn a_key_for_seals_is_read_where_it_is_referred_to_and_never_repeated() {
    let with = |text: &str| {
        let file = TempFile::with(text);
        let seal_key = Some(SecretRef::File(file.0.clone()));
        let database = Database { seal_key, ..Database::default() };
        Config { database, ..Config::default() }.seal()
    };
    assert!(Config::default().seal().unwrap().is_none());
    let digits = "c0ffee42".repeat(8);
    let seal = with(&format!("{digits}\n")).unwrap().unwrap();
    assert_eq!(seal.key_id(), crate::postgres::Seal::from_hex(&digits).unwrap().key_id());
    for wrong in
        ["c0ffee42", &format!("{digits}g"), "", "walnut walnut walnut walnut walnut walnut"]
    {
        let error = with(wrong).unwrap_err().to_string();
        assert!(error.contains("database.seal_key") && error.contains("file:/"), "{error}");
        assert!(!error.contains("c0ffee") && !error.contains("walnut"), "{error}");
    }
}

#[test]
fn plain_http_beyond_this_machine_has_to_be_allowed_by_name() {
    let with = |jwks_url: &str, base_url: &str| {
        let mut config = sample();
        config.identity.jwks_url = Some(jwks_url.to_owned());
        config.upstream[1].base_url = base_url.to_owned();
        config
    };
    let here = "http://127.0.0.1:9/x";
    for local in [here, "http://localhost/x", "http://[::1]:9/x", "https://example.com/x"] {
        with(local, local).settings().unwrap();
    }
    for away in [
        "http://example.com/x",
        "http://localhost.example.com/x",
        "http://127.0.0.1.example.com/x",
        "http://10.0.0.1/x",
        "http://0.0.0.0/x",
        "HTTP://example.com/x",
    ] {
        let mut config = with(away, here);
        let problem = config.settings().unwrap_err().to_string();
        assert!(problem.contains("identity.jwks_url") && problem.contains("jwks_allow_http"));
        config.identity.jwks_allow_http = true;
        config.settings().unwrap();
        let mut config = with(here, away);
        let problem = config.settings().unwrap_err().to_string();
        assert!(problem.contains("upstream[1].base_url") && problem.contains("[1].allow_http"));
        config.upstream[0].allow_http = true;
        config.settings().unwrap_err();
        config.upstream[1].allow_http = true;
        config.settings().unwrap();
    }
    // A user that looks like this machine is not the host.
    let user = "http://localhost@example.com/x";
    let problem = with(user, here).settings().unwrap_err().to_string();
    assert!(problem.contains("identity.jwks_url") && problem.contains("jwks_allow_http"));
    let mut config = with(here, user);
    config.upstream[1].allow_http = true;
    let problem = config.settings().unwrap_err().to_string();
    assert!(problem.contains("upstream[1].base_url") && problem.contains("without user"));
}

#[test]
fn an_upstream_has_all_that_its_section_says() {
    let file = TempFile::with(
        r#"[[upstream]]
name = "a"
dialect = "anthropic"
base_url = "https://h"
credential = "env:KEY"
models = ["claude-*"]
head_timeout = "17s"
idle_timeout = "18s"
send_organization = true
forward_header_prefixes = ["x-mock-"]
allow_fields = ["enable_search"]
cap_field = "max_tokens"
takes_stream_options = false

[[upstream]]
"#,
    );
    let config = Config::load(Some(&file.0), no_environment()).unwrap();
    let seconds = Duration::from_secs;
    let mut expected = UpstreamConfig::new("a", Dialect::Anthropic, "https://h");
    expected.credential = Some("env:KEY".parse().unwrap());
    expected.models = AllowList::Only(vec!["claude-*".to_owned()]);
    (expected.head_timeout, expected.idle_timeout) = (seconds(17), seconds(18));
    expected.send_organization = true;
    expected.forward_header_prefixes = vec!["x-mock-".to_owned()];
    expected.allow_fields = vec!["enable_search".to_owned()];
    expected.cap_field = Some(CapField::MaxTokens);
    expected.takes_stream_options = false;
    assert_eq!(config.upstream[0], expected);
    // Without settings, an upstream has the defaults of `UpstreamConfig`, except the models, which must be named.
    let mut expected = UpstreamConfig::new("", Dialect::OpenAi, "");
    expected.models = AllowList::Only(Vec::new());
    assert_eq!(config.upstream[1], expected);
}

#[tokio::test]
async fn keys_over_plain_http_are_had_from_this_machine_or_where_identity_jwks_allow_http() {
    for (url, allowed, fine) in [
        ("http://127.0.0.1:1/jwks", false, true),
        ("http://[::1]:1/jwks", false, true),
        ("http://localhost:1/jwks", false, true),
        ("http://issuer.test/jwks", false, false),
        ("http://127.0.0.1.issuer.test/jwks", false, false),
        ("http://issuer.test/jwks", true, true),
    ] {
        let mut config = sample();
        config.identity.jwks_url = Some(url.to_owned());
        config.identity.jwks_allow_http = allowed;
        let settings = config.settings();
        assert_eq!(settings.is_ok(), fine, "{url}");
        if let Ok(Settings { verifier, keys, .. }) = settings {
            Verifier::new(verifier, KeySource::published(keys, HttpClient::default())).unwrap();
        }
    }
}

#[test]
fn an_origin_that_no_browser_would_send_is_refused() {
    let with = |origins: &str| {
        let file = TempFile::with(&format!("[server]\ncors_origins = [{origins}]\n"));
        let mut config = sample();
        let listed = Config::load(Some(&file.0), no_environment()).unwrap();
        config.server.cors_origins = listed.server.cors_origins;
        config.settings()
    };
    assert!(with("").is_ok());
    assert!(
        with(r#""https://app.example.com", "http://localhost:3000", "https://[::1]:8443""#).is_ok()
    );
    for origin in [
        "*",
        "null",
        "",
        "app.example.com",
        "https://app.example.com/",
        "https://*.example.com",
        "https://App.example.com",
        "https://me@app.example.com",
        "https://app.example.com?",
        "ftp://app.example.com",
    ] {
        let error = with(&format!(r#""http://localhost", "{origin}""#)).unwrap_err().to_string();
        assert!(error.contains("server.cors_origins[1]"), "{origin}: {error}");
    }
}

#[test]
fn an_algorithm_that_does_not_exist_is_refused_with_those_that_do() {
    let file = "[identity]\nalgorithms = [\"RS256\", \"HS256\"]\n";
    let environment = environment(&[("TOLLGATE_IDENTITY__ALGORITHMS", "RS256,HS256")]);
    for error in [error_of(file), Config::load(None, environment).unwrap_err().to_string()] {
        assert!(error.contains("identity.algorithms"), "{error}");
        assert!(error.contains("RS384") && error.contains("EdDSA"), "{error}");
    }
}

#[test]
fn a_default_of_the_file_is_the_default_of_its_layer() {
    let Config { server, database, credit, audit, identity, .. } = Config::default();
    assert_eq!(server.body_bytes_max, 4 << 20);
    assert_eq!(credit.hold_ttl, Duration::from_mins(1));
    assert_eq!(audit.capture_bytes_max, 256 << 10);
    assert_eq!((database.prepared, database.membership), (Prepared::Auto, Membership::Tollgate));
    assert_eq!(identity.algorithms, [Algorithm::Rs256]);
}
