//! The keys by which tokens are verified, over TLS: whoever could put keys there could be anybody.

use super::{
    authority::Flaw,
    door::{Door, Seen, redirecting},
    providers::Case,
};

const NO_KEYS: &str = "identity.jwks_url: no usable keys";

#[tokio::test]
async fn keys_of_an_issuer_that_proves_what_it_is_are_used() {
    let case = Case::open().await;
    let door = Door::open(Flaw::None, &["http/1.1"], case.provider.keys).await;
    let config = case.provider.config_with_keys(&case.provider.url, &door.url());
    let gateway = case.serve(&config).await.unwrap();
    assert_eq!(case.provider.call(gateway.address, &case.org).await.status, 200);
    assert_eq!(door.seen(), Seen { inside: vec!["http/1.1".into()], hung_up: 0 });
}

#[tokio::test]
async fn keys_of_anybody_else_are_not() {
    let case = Case::open().await;
    for flaw in Flaw::ALL {
        let door = Door::open(flaw, &["http/1.1"], case.provider.keys).await;
        let config = case.provider.config_with_keys(&case.provider.url, &door.url());
        let said = case.serve(&config).await.unwrap_err();
        assert!(said.contains(NO_KEYS), "{flaw:?}: {said}");
        door.was_told_nothing(&format!("{flaw:?}")).await;
    }
    // Without TLS where some is wanted.
    let plain = format!("https://{}", case.provider.keys);
    let config = case.provider.config_with_keys(&case.provider.url, &plain);
    assert!(case.serve(&config).await.unwrap_err().contains(NO_KEYS));
}

#[tokio::test]
async fn a_redirect_to_keys_is_not_followed() {
    let case = Case::open().await;
    // There the right ones are.
    let location = format!("http://{}/.well-known/jwks.json", case.provider.keys);
    let (address, _serving) = redirecting(302, location).await;
    let door = Door::open(Flaw::None, &["http/1.1"], address).await;
    let config = case.provider.config_with_keys(&case.provider.url, &door.url());
    let said = case.serve(&config).await.unwrap_err();
    assert!(said.contains(NO_KEYS), "{said}");
    assert_eq!(door.seen().inside.len(), 1);
}
