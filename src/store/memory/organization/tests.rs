//! What an organization remembers, and which settings stop a caller.

use std::{num::NonZeroU32, time::Duration};

use uuid::Uuid;

use super::*;
use crate::domain::{
    credits::Credits,
    endpoint::Endpoint,
    finish::{Ending, Settlement},
    hold::HoldRequest,
    ids::{KeyId, OrganizationId, PriceId},
    usage::Usage,
};

fn tenant(user: &str) -> Tenant {
    Tenant::new(OrganizationId::new(Uuid::from_u128(1)), user)
}

fn finish(request_id: RequestId, settlement: Option<i64>) -> Arc<Finish> {
    let settlement = settlement.map(|amount| Settlement {
        amount: Credits::from_nanos(amount),
        tokens: 1,
        price_id: PriceId::new(Uuid::nil()),
        markup_bps: 0,
        release: false,
    });
    Arc::new(Finish {
        request_id,
        client_request_id: None,
        endpoint: Endpoint::ChatCompletions,
        model: "small".into(),
        answered_by: None,
        provider: None,
        stream: false,
        ending: Ending::Complete,
        status: 200,
        usage: Usage::default(),
        estimated: false,
        clamped: false,
        settlement,
        latency: Duration::ZERO,
        first_byte: None,
        record: None,
    })
}

fn hold() -> HoldRequest {
    let request_id = RequestId::generate();
    HoldRequest { request_id, amount: Credits::ZERO, tokens: 0, ttl: Duration::from_mins(1) }
}

#[test]
fn what_is_written_says_who_called_and_is_there_once() {
    let organization = Organization::default();
    let team = TeamId::new(Uuid::from_u128(2));
    let ann = tenant("ann").with_team(team);
    let finish = finish(RequestId::generate(), None);
    assert_eq!(organization.finish(&ann, &finish), Ok(Finished::default()));
    let again = organization.finish(&ann, &finish);
    assert_eq!(again, Ok(Finished { replayed: true, ..Finished::default() }));
    let written = organization.written();
    let [only] = &written[..] else { panic!("{written:?}") };
    assert_eq!((&*only.user_id, only.team_id), ("ann", Some(team)));
    assert_eq!(only.finish.request_id, finish.request_id);
}

#[test]
fn a_finish_that_cannot_be_counted_is_not_written_and_may_come_again() {
    let organization = Organization::default();
    organization.finish(&tenant("ann"), &finish(RequestId::generate(), Some(i64::MAX))).unwrap();
    let beyond = finish(RequestId::generate(), Some(1));
    for _ in 0..2 {
        assert_eq!(organization.finish(&tenant("ann"), &beyond), Err(OutOfRange));
    }
    assert_eq!(organization.written().len(), 1);
    organization.account().grant(Credits::from_nanos(1)).unwrap();
    let finished = organization.finish(&tenant("ann"), &beyond).unwrap();
    assert_eq!((finished.debt.nanos(), finished.replayed), (1, false));
    assert!(organization.finish(&tenant("ann"), &beyond).unwrap().replayed);
}

#[test]
fn the_latest_finishes_are_kept_and_the_oldest_falls_out() {
    let organization = Organization::default();
    let finishes: Vec<_> = (0..=WRITTEN_MAX).map(|_| finish(RequestId::generate(), None)).collect();
    for finish in &finishes[..WRITTEN_MAX] {
        organization.finish(&tenant("ann"), finish).unwrap();
    }
    assert_eq!(organization.written().len(), WRITTEN_MAX);
    assert!(organization.finish(&tenant("ann"), &finishes[0]).unwrap().replayed);
    organization.finish(&tenant("ann"), &finishes[WRITTEN_MAX]).unwrap();
    let kept = |finish: &Arc<Finish>| {
        organization.written().iter().any(|written| written.finish.request_id == finish.request_id)
    };
    assert_eq!(organization.written().len(), WRITTEN_MAX);
    assert!(!kept(&finishes[0]) && kept(&finishes[1]) && kept(&finishes[WRITTEN_MAX]));
    assert_eq!(organization.books().known.len(), WRITTEN_MAX);
    assert!(!organization.finish(&tenant("ann"), &finishes[0]).unwrap().replayed);
}

#[test]
fn each_switch_stops_its_own_and_is_told_and_turned_off() {
    let organization = Organization::default();
    let (team, key) = (TeamId::new(Uuid::from_u128(2)), KeyId::new(Uuid::from_u128(3)));
    let caller = tenant("ann").with_team(team).with_key(key);
    let stopped = || match organization.hold(&caller, &hold()) {
        HoldVerdict::Suspended(scope) => Some(scope),
        HoldVerdict::Granted => None,
        other @ (HoldVerdict::Insufficient { .. }
        | HoldVerdict::BudgetExceeded(_)
        | HoldVerdict::Conflict) => panic!("{other:?}"),
    };
    assert_eq!((stopped(), organization.standing(&caller).suspended), (None, None));
    for (switch, scope) in [
        (Switch::Key(key), Scope::Key),
        (Switch::User("ann".into()), Scope::User),
        (Switch::Team(team), Scope::Team),
        (Switch::Organization, Scope::Organization),
    ] {
        organization.set_switch(switch.clone(), true);
        assert_eq!(stopped(), Some(scope));
        assert_eq!(organization.standing(&caller).suspended, Some(scope));
        organization.set_switch(switch, false);
        assert_eq!(stopped(), None);
    }
    organization.set_switch(Switch::User("bob".into()), true);
    assert_eq!(stopped(), None);
    assert_eq!(organization.switches(), [Switch::User("bob".into())].into_iter().collect());
    organization.set_switch(Switch::User("bob".into()), false);

    organization.set_suspended(true);
    assert_eq!(stopped(), Some(Scope::Organization));
    assert_eq!(organization.standing(&caller).suspended, Some(Scope::Organization));
    assert_eq!(organization.switches(), [Switch::Organization].into_iter().collect());
    organization.set_suspended(false);
    organization.set_policy(Policy { suspended: true, ..Policy::default() });
    assert_eq!(stopped(), Some(Scope::Organization));
    assert_eq!(organization.switches(), [Switch::Organization].into_iter().collect());
    organization.set_policy(Policy::default());
    assert_eq!((stopped(), organization.switches()), (None, Switches::default()));
}

#[test]
fn a_caller_meets_the_own_rate_else_that_of_each_and_a_rate_of_nothing_is_none() {
    let organization = Organization::default();
    let limit = |scope, scope_id: &str, requests| RateLimit {
        scope,
        scope_id: scope_id.into(),
        model_pattern: "*".into(),
        rates: Rates { requests_per_minute: NonZeroU32::new(requests), ..Rates::default() },
    };
    organization.set_rate_limit(limit(Scope::User, Scope::EACH, 1));
    organization.set_rate_limit(limit(Scope::User, "ann", 2));
    organization.set_rate_limit(limit(Scope::Team, Scope::EACH, 3));
    organization.set_rate_limit(limit(Scope::Organization, "", 4));
    let met = |tenant: &Tenant| organization.standing(tenant).rates.to_vec();
    let all = limit(Scope::Organization, "", 4);
    assert_eq!(met(&tenant("ann")), [all.clone(), limit(Scope::User, "ann", 2)]);
    assert_eq!(met(&tenant("bob")), [all.clone(), limit(Scope::User, "bob", 1)]);
    organization.set_rate_limit(limit(Scope::User, "ann", 0));
    assert_eq!(met(&tenant("ann")), [all.clone(), limit(Scope::User, "ann", 1)]);
    organization.set_rate_limit(limit(Scope::User, Scope::EACH, 0));
    assert_eq!(met(&tenant("ann")), [all]);
}
