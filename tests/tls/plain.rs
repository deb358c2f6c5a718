//! Plain HTTP that would leave this machine: refused before anything is sent, unless it is allowed by name.

use tollgate::gateway::{Gateway, StartError, Stores, config::Config};

use super::{harness::House, providers::Case};

/// Nobody's: no packet arrives there.
const AWAY: &str = "http://192.0.2.1";

#[tokio::test]
async fn the_program_does_not_start_with_plain_http_beyond_this_machine() {
    let case = Case::open().await;
    let upstream = case.provider.config(AWAY);
    let keys = case.provider.config_with_keys(&case.provider.url, AWAY);
    for (config, key, allowing) in [
        (upstream, "upstream[0].base_url", "allow_http"),
        (keys, "identity.jwks_url", "jwks_allow_http"),
    ] {
        let said = case.serve(&config).await.unwrap_err();
        assert!(said.contains(key) && said.contains(allowing) && said.contains("https"), "{said}");
    }
    // A mesh protects the way: it is said so.
    let config = case.provider.config(AWAY) + "allow_http = true\n";
    case.serve(&config).await.unwrap();
}

#[tokio::test]
async fn nor_has_such_a_configuration_settings_to_assemble_a_gateway_from() {
    let house = House::unopened(super::harness::Setup::default()).await;
    let mut upstream = house.config();
    upstream.upstream[1].base_url = AWAY.into();
    let mut keys = house.config();
    keys.identity.jwks_url = Some(AWAY.into());
    let mut both = house.config();
    both.identity.jwks_url = Some("http://LOCALHOST.example/keys".into());
    for (config, key) in [
        (&upstream, "upstream[1].base_url"),
        (&keys, "identity.jwks_url"),
        (&both, "identity.jwks_url"),
    ] {
        let refused = config.settings().unwrap_err();
        assert!(refused.to_string().contains(key), "{refused}");
    }
    upstream.upstream[1].allow_http = true;
    assembled(&house, &upstream).await.unwrap();
    // What stays on this machine needs nothing.
    assembled(&house, &house.config()).await.unwrap();
    house.close().await;
}

async fn assembled(house: &House, config: &Config) -> Result<Gateway, StartError> {
    let settings = config.settings().unwrap();
    Gateway::assemble(settings, Stores::over(house.places.clone())).await
}
