use serde_json::Value;
use uuid::Uuid;

use super::{
    agreements, credits, kill_switches, limits, organizations,
    organizations::NewOrganization,
    problem::{Input, Problem},
    scoped::{Scoped, Which},
};
use crate::{
    domain::{
        credits::Credits,
        ids::OrganizationId,
        instant::Moment,
        place::Place,
        price::{Agreement, MARKUP_BPS_MAX, ModelPrice},
        scope::Scope,
        switch::Switch,
    },
    store::{
        StoreFuture, SwitchesOn,
        admin::{
            AgreementAdmin, AgreementError, Begins, CreditAdmin, GrantError, Granted, MoveError,
            Organization, OrganizationAdmin, SwitchAdmin, Whereabouts,
        },
    },
};

/// A store that panics on every request.
struct Untouched;

impl CreditAdmin for Untouched {
    fn grant_credits<'a>(
        &'a self,
        _: OrganizationId,
        _: Credits,
        _: Option<&'a str>,
    ) -> StoreFuture<'a, Granted, GrantError> {
        panic!("asked for credits")
    }
}

impl SwitchAdmin for Untouched {
    fn switches(&self, _: OrganizationId) -> StoreFuture<'_, SwitchesOn> {
        panic!("asked for switches")
    }
    fn turn_on<'a>(
        &'a self,
        _: OrganizationId,
        _: &'a Switch,
        _: Option<&'a str>,
    ) -> StoreFuture<'a, bool> {
        panic!("asked for a switch")
    }
    fn turn_off<'a>(&'a self, _: OrganizationId, _: &'a Switch) -> StoreFuture<'a, ()> {
        panic!("asked for a switch")
    }
}

impl AgreementAdmin for Untouched {
    fn agreement<'a>(
        &'a self,
        _: OrganizationId,
        _: Option<&'a str>,
    ) -> StoreFuture<'a, Agreement> {
        panic!("asked for an agreement")
    }
    fn agree_prices<'a>(
        &'a self,
        _: OrganizationId,
        _: &'a [ModelPrice],
        _: Option<&'a Moment>,
    ) -> StoreFuture<'a, Begins, AgreementError> {
        panic!("asked for an agreement")
    }
    fn withdraw_price<'a>(
        &'a self,
        _: OrganizationId,
        _: &'a str,
        _: Option<&'a Moment>,
    ) -> StoreFuture<'a, Begins, AgreementError> {
        panic!("asked for an agreement")
    }
    fn set_markup<'a>(
        &'a self,
        _: OrganizationId,
        _: u32,
        _: Option<&'a Moment>,
    ) -> StoreFuture<'a, Begins, AgreementError> {
        panic!("asked for a mark-up")
    }
}

impl OrganizationAdmin for Untouched {
    fn create<'a>(
        &'a self,
        _: OrganizationId,
        _: &'a str,
        _: &'a str,
        _: &'a Place,
    ) -> StoreFuture<'a, bool, MoveError> {
        panic!("asked for an organization")
    }
    fn organization(&self, _: OrganizationId) -> StoreFuture<'_, Organization> {
        panic!("asked for an organization")
    }
    fn organizations_after(&self, _: OrganizationId) -> StoreFuture<'_, Vec<OrganizationId>> {
        panic!("asked for organizations")
    }
    fn place_of(&self, _: OrganizationId) -> Place {
        panic!("asked for a place")
    }
    fn whereabouts(&self, _: OrganizationId) -> StoreFuture<'_, Whereabouts> {
        panic!("asked for whereabouts")
    }
}

/// The invalid input for which an operation was refused.
fn input<T: std::fmt::Debug>(refused: Result<T, Problem>) -> Input {
    match refused {
        Err(Problem::Input(input)) => input,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_input_that_is_refused_never_reaches_the_store() {
    let (store, id) = (Untouched, OrganizationId::new(Uuid::from_u128(1)));
    for amount in [0, -5] {
        let granted = credits::grant(&store, id, Credits::from_nanos(amount), None).await;
        assert_eq!(input(granted), Input::NoAmount);
    }
    let reason = "x".repeat(2_001);
    let suspended = kill_switches::suspend(&store, id, Switch::Organization, Some(&reason)).await;
    assert_eq!(input(suspended), Input::Reason);
    let marked_up = agreements::markup(&store, id, MARKUP_BPS_MAX + 1, None).await;
    assert_eq!(input(marked_up), Input::Markup);
    let nameless = NewOrganization {
        id: None,
        name: String::new(),
        time_zone: "UTC".to_owned(),
        place: Place::Row,
    };
    assert_eq!(input(organizations::create(&store, nameless).await), Input::NoName);
    let scoped = Scoped::new(id, Scope::Organization, Which::Unnamed).unwrap();
    assert_eq!(limits::LimitOf::new(scoped, String::new()).unwrap_err(), Input::NoModel);
}

#[test]
fn a_document_of_a_kill_switch_names_its_part_of_the_organization() {
    let organization = OrganizationId::new(Uuid::from_u128(1));
    let document = |switch, on| kill_switches::Turned { organization, switch, on }.document();
    let whole = document(Switch::Organization, true);
    assert_eq!(whole["suspended"], true);
    assert_eq!(whole.get("scope"), None, "{whole}");
    let ann = document(Switch::User("ann".into()), false);
    assert_eq!((&ann["suspended"], &ann["scope_id"]), (&Value::from(false), &Value::from("ann")));
}
