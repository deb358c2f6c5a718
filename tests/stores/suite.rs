//! The behaviour that all stores have in common.

use std::{num::NonZeroU32, time::Duration};

use futures_util::future::join_all;
use tollgate::{
    Tenant,
    domain::{
        credits::Credits,
        finish::Finished,
        hold::{Exceeded, Heartbeat, HoldVerdict, Unit, Window},
        ids::{KeyId, OrganizationId, PriceId, RequestId, TeamId},
        policy::{AllowList, Budgets, Policy, RateLimit, Rates},
        price::{self, Agreement, ModelPrice, PriceBook, Tier},
        role::Role,
        scope::Scope,
        switch::{Switch, Switches},
        usage::Usage,
    },
    store::{Journal, Ledger, PolicyStore, PriceStore, StoreError, SwitchStore},
};
use uuid::Uuid;

use super::fixture::{Fixture, costing, hold, releasing, unheld};

const GRANTED: HoldVerdict = HoldVerdict::Granted;

fn finished(charged: i64, debt: i64, replayed: bool) -> Finished {
    Finished { charged: Credits::from_nanos(charged), debt: Credits::from_nanos(debt), replayed }
}

/// Refused, and whether only what others hold is in the way.
fn insufficient(available: i64, may_wait: bool) -> HoldVerdict {
    HoldVerdict::Insufficient { available: Credits::from_nanos(available), may_wait }
}

fn budget(daily: Option<u64>, monthly: Option<u64>) -> Policy {
    let budgets = Budgets { daily_tokens: daily, monthly_tokens: monthly };
    Policy { budgets, ..Policy::default() }
}

pub(crate) async fn a_hold_sets_credits_aside_and_its_settlement_takes_them<F: Fixture>() {
    let f = F::start().await;
    let ann = f.organization(100).await;
    let request = hold(60, 10);
    assert_eq!(f.store().hold(&ann, request.clone()).await.unwrap(), GRANTED);
    assert_eq!(f.books(&ann).await, (100, 60, 0));
    let finish = costing(request.request_id, 45, 7);
    assert_eq!(f.store().finish(&ann, &finish).await.unwrap(), finished(45, 0, false));
    assert_eq!(f.books(&ann).await, (55, 0, 0));
}

pub(crate) async fn a_repeated_hold_is_granted_again_and_holds_nothing_more<F: Fixture>() {
    let f = F::start().await;
    let ann = f.organization(100).await;
    let request = hold(60, 10);
    for _ in 0..3 {
        assert_eq!(f.store().hold(&ann, request.clone()).await.unwrap(), GRANTED);
    }
    assert_eq!(f.books(&ann).await, (100, 60, 0));
}

pub(crate) async fn a_request_id_used_for_something_else_is_a_conflict<F: Fixture>() {
    let f = F::start().await;
    let ann = f.organization(100).await;
    let request = hold(10, 1);
    assert_eq!(f.store().hold(&ann, request.clone()).await.unwrap(), GRANTED);
    let mut other = request.clone();
    other.amount = Credits::from_nanos(11);
    assert_eq!(f.store().hold(&ann, other).await.unwrap(), HoldVerdict::Conflict);
    f.store().finish(&ann, &costing(request.request_id, 1, 1)).await.unwrap();
    assert_eq!(f.store().hold(&ann, request).await.unwrap(), HoldVerdict::Conflict);
    assert_eq!(f.books(&ann).await, (99, 0, 0));
}

pub(crate) async fn a_hold_beyond_the_free_balance_is_refused_with_what_is_free<F: Fixture>() {
    let f = F::start().await;
    let ann = f.organization(100).await;
    assert_eq!(f.store().hold(&ann, hold(60, 1)).await.unwrap(), GRANTED);
    assert_eq!(f.store().hold(&ann, hold(41, 1)).await.unwrap(), insufficient(40, true));
    assert_eq!(f.store().hold(&ann, hold(40, 1)).await.unwrap(), GRANTED);
    assert_eq!(f.store().hold(&ann, hold(1, 1)).await.unwrap(), insufficient(0, true));
    assert_eq!(f.store().hold(&ann, hold(0, 1)).await.unwrap(), GRANTED);
    assert_eq!(f.books(&ann).await, (100, 100, 0));
    f.grant(ann.organization_id(), 1).await;
    assert_eq!(f.store().hold(&ann, hold(1, 1)).await.unwrap(), GRANTED);
}

pub(crate) async fn a_budget_refuses_what_it_does_not_cover_and_says_until_when<F: Fixture>() {
    let f = F::start().await;
    for (policy, expected) in [
        (budget(Some(10), None), Window::Day),
        (budget(None, Some(10)), Window::Month),
        // Where both are spent, the longer wait is the true one.
        (budget(Some(10), Some(10)), Window::Month),
        (budget(Some(10), Some(u64::MAX)), Window::Day),
    ] {
        let ann = f.organization(100).await;
        let before = f.until_end(ann.organization_id(), expected).await;
        f.set_policy(ann.organization_id(), policy).await;
        assert_eq!(f.store().hold(&ann, hold(1, 9)).await.unwrap(), GRANTED);
        let HoldVerdict::BudgetExceeded(exceeded) = f.store().hold(&ann, hold(1, 2)).await.unwrap()
        else {
            panic!("the budget does not hold");
        };
        let Exceeded { scope, window, unit, retry_after, may_wait } = exceeded;
        assert_eq!((scope, window, unit), (Scope::Organization, expected, Unit::Tokens));
        assert!(may_wait, "what is held may come back");
        // Rounded up to a millisecond, so that nobody comes back too early.
        let after = f.until_end(ann.organization_id(), expected).await;
        let until_end = after..=before + Duration::from_millis(1);
        assert!(until_end.contains(&retry_after), "{retry_after:?}, {until_end:?}");
        assert_eq!(f.store().hold(&ann, hold(1, 1)).await.unwrap(), GRANTED);
        assert_eq!(f.books(&ann).await, (100, 2, 0));
    }
}

pub(crate) async fn tokens_that_were_not_used_go_back_to_the_budget<F: Fixture>() {
    let f = F::start().await;
    let ann = f.organization(100).await;
    f.set_policy(ann.organization_id(), budget(Some(10), Some(10))).await;
    let (settled, released) = (hold(1, 6), hold(1, 4));
    assert_eq!(f.store().hold(&ann, settled.clone()).await.unwrap(), GRANTED);
    assert_eq!(f.store().hold(&ann, released.clone()).await.unwrap(), GRANTED);
    f.store().finish(&ann, &costing(settled.request_id, 1, 3)).await.unwrap();
    f.store().finish(&ann, &releasing(released.request_id)).await.unwrap();
    let refused = f.store().hold(&ann, hold(1, 8)).await.unwrap();
    assert!(matches!(refused, HoldVerdict::BudgetExceeded(_)), "{refused:?}");
    assert_eq!(f.store().hold(&ann, hold(1, 7)).await.unwrap(), GRANTED);
    assert_eq!(f.books(&ann).await, (99, 1, 0));
}

pub(crate) async fn both_kill_switches_refuse_at_once<F: Fixture>() {
    let f = F::start().await;
    let ann = f.organization(100).await;
    let id = ann.organization_id();
    f.set_suspended(id, true).await;
    assert_eq!(
        f.store().hold(&ann, hold(1, 1)).await.unwrap(),
        HoldVerdict::Suspended(Scope::Organization)
    );
    assert!(f.store().standing(&ann).await.unwrap().suspended.is_some());
    f.set_suspended(id, false).await;
    assert_eq!(f.store().hold(&ann, hold(1, 1)).await.unwrap(), GRANTED);
    f.set_policy(id, Policy { suspended: true, ..Policy::default() }).await;
    assert_eq!(
        f.store().hold(&ann, hold(1, 1)).await.unwrap(),
        HoldVerdict::Suspended(Scope::Organization)
    );
    assert_eq!(f.books(&ann).await, (100, 1, 0));
}

pub(crate) async fn a_switch_stops_its_own_and_nobody_else<F: Fixture>() {
    let f = F::start().await;
    let ann = f.organization(1_000).await;
    let id = ann.organization_id();
    let (team, key) = (TeamId::new(Uuid::now_v7()), KeyId::new(Uuid::now_v7()));
    let bob = Tenant::new(id, "bob").with_team(team);
    let program = Tenant::new(id, "program").with_key(key).with_team(TeamId::new(Uuid::now_v7()));
    let namesake = f.organization(1_000).await;
    let callers = [&ann, &bob, &program, &namesake];
    for (switch, stopped) in [
        (Switch::User("ann".into()), vec![0]),
        (Switch::Team(team), vec![1]),
        (Switch::Key(key), vec![2]),
        (Switch::Organization, vec![0, 1, 2]),
        // Words and ids of another kind stop nobody.
        (Switch::User(team.to_string().into()), vec![]),
        (Switch::Team(TeamId::new(key.as_uuid())), vec![]),
        (Switch::User("*".into()), vec![]),
    ] {
        f.set_switch(id, &switch, true).await;
        let on = f.store().switches(id).await.unwrap();
        assert_eq!(on, Switches::from_iter([switch.clone()]));
        for (number, caller) in callers.iter().enumerate() {
            let scope = stopped.contains(&number).then_some(switch.scope());
            let expected = scope.map_or(GRANTED, HoldVerdict::Suspended);
            assert_eq!(f.store().hold(caller, hold(1, 1)).await.unwrap(), expected, "{switch:?}");
            assert_eq!(f.store().standing(caller).await.unwrap().suspended, scope, "{switch:?}");
        }
        f.set_switch(id, &switch, false).await;
        assert_eq!(f.store().hold(&ann, hold(1, 1)).await.unwrap(), GRANTED);
    }
    // The widest is named.
    for switch in [Switch::Key(key), Switch::User("program".into())] {
        f.set_switch(id, &switch, true).await;
        let verdict = f.store().hold(&program, hold(1, 1)).await.unwrap();
        assert_eq!(verdict, HoldVerdict::Suspended(switch.scope()));
    }
    let nobody = f.store().switches(OrganizationId::new(Uuid::now_v7())).await.unwrap();
    assert!(
        nobody.is_empty()
            && f.store().switches(namesake.organization_id()).await.unwrap().is_empty()
    );
    f.set_suspended(namesake.organization_id(), true).await;
    let on = f.store().switches(namesake.organization_id()).await.unwrap();
    assert_eq!(on, Switches::from_iter([Switch::Organization]));
}

pub(crate) async fn an_organization_that_is_not_there_is_told_apart<F: Fixture>() {
    let f = F::start().await;
    let nobody = Tenant::new(OrganizationId::new(Uuid::now_v7()), "nobody");
    let verdict = f.store().hold(&nobody, hold(1, 1)).await;
    assert!(matches!(verdict, Err(StoreError::UnknownOrganization)), "{verdict:?}");
    let request_id = RequestId::generate();
    for finish in [unheld(request_id), costing(request_id, 1, 1)] {
        let written = f.store().finish(&nobody, &finish).await;
        assert!(matches!(written, Err(StoreError::UnknownOrganization)), "{written:?}");
    }
    let standing = f.store().standing(&nobody).await;
    assert!(matches!(standing, Err(StoreError::UnknownOrganization)));
}

pub(crate) async fn a_settlement_beyond_the_hold_takes_what_is_free<F: Fixture>() {
    let f = F::start().await;
    let ann = f.organization(100).await;
    let request = hold(10, 1);
    f.store().hold(&ann, request.clone()).await.unwrap();
    let finish = costing(request.request_id, 70, 5);
    assert_eq!(f.store().finish(&ann, &finish).await.unwrap(), finished(70, 0, false));
    assert_eq!(f.books(&ann).await, (30, 0, 0));
}

pub(crate) async fn a_settlement_beyond_everything_leaves_a_debt_that_a_grant_pays_first<
    F: Fixture,
>() {
    let f = F::start().await;
    let ann = f.organization(100).await;
    let (dear, other) = (hold(10, 1), hold(20, 1));
    f.store().hold(&ann, dear.clone()).await.unwrap();
    f.store().hold(&ann, other.clone()).await.unwrap();
    let finish = costing(dear.request_id, 130, 5);
    assert_eq!(f.store().finish(&ann, &finish).await.unwrap(), finished(80, 50, false));
    assert_eq!(f.books(&ann).await, (20, 20, 50));
    // What is free again does not help while something is owed.
    f.store().finish(&ann, &releasing(other.request_id)).await.unwrap();
    assert_eq!(f.store().hold(&ann, hold(1, 1)).await.unwrap(), insufficient(0, false));
    f.grant(ann.organization_id(), 49).await;
    assert_eq!(f.store().hold(&ann, hold(1, 1)).await.unwrap(), insufficient(0, false));
    let balance = f.grant(ann.organization_id(), 11).await;
    assert_eq!((balance.posted.nanos(), balance.debt.nanos()), (30, 0));
    assert_eq!(f.store().hold(&ann, hold(30, 1)).await.unwrap(), GRANTED);
    assert_eq!(f.books(&ann).await, (30, 30, 0));
}

pub(crate) async fn a_settlement_never_takes_what_others_hold<F: Fixture>() {
    let f = F::start().await;
    let ann = f.organization(100).await;
    let (dear, other) = (hold(40, 1), hold(60, 1));
    f.store().hold(&ann, dear.clone()).await.unwrap();
    f.store().hold(&ann, other.clone()).await.unwrap();
    let finish = costing(dear.request_id, 1_000, 5);
    assert_eq!(f.store().finish(&ann, &finish).await.unwrap(), finished(40, 960, false));
    assert_eq!(f.books(&ann).await, (60, 60, 960));
    let finish = costing(other.request_id, 60, 5);
    assert_eq!(f.store().finish(&ann, &finish).await.unwrap(), finished(60, 0, false));
    assert_eq!(f.books(&ann).await, (0, 0, 960));
}

pub(crate) async fn a_release_gives_everything_back<F: Fixture>() {
    let f = F::start().await;
    let ann = f.organization(100).await;
    let request = hold(60, 10);
    f.store().hold(&ann, request.clone()).await.unwrap();
    let finish = releasing(request.request_id);
    assert_eq!(f.store().finish(&ann, &finish).await.unwrap(), finished(0, 0, false));
    assert_eq!(f.store().finish(&ann, &finish).await.unwrap(), finished(0, 0, true));
    assert_eq!(f.books(&ann).await, (100, 0, 0));
}

pub(crate) async fn a_repeated_finish_changes_nothing<F: Fixture>() {
    let f = F::start().await;
    let ann = f.organization(100).await;
    let request = hold(60, 10);
    f.store().hold(&ann, request.clone()).await.unwrap();
    let finish = costing(request.request_id, 130, 7);
    let attempts = join_all((0..8).map(|_| f.store().finish(&ann, &finish))).await;
    let attempts: Vec<_> = attempts.into_iter().map(Result::unwrap).collect();
    assert_eq!(attempts.iter().filter(|finished| !finished.replayed).count(), 1);
    assert!(attempts.iter().all(|one| (one.charged.nanos(), one.debt.nanos()) == (100, 30)));
    let other = costing(request.request_id, 1, 1);
    assert_eq!(f.store().finish(&ann, &other).await.unwrap(), finished(100, 30, true));
    assert_eq!(f.books(&ann).await, (0, 0, 30));
}

pub(crate) async fn a_finish_without_a_hold_moves_no_credits<F: Fixture>() {
    let f = F::start().await;
    let ann = f.organization(100).await;
    let finish = unheld(RequestId::generate());
    assert_eq!(f.store().finish(&ann, &finish).await.unwrap(), finished(0, 0, false));
    assert_eq!(f.store().finish(&ann, &finish).await.unwrap(), finished(0, 0, true));
    assert_eq!(f.books(&ann).await, (100, 0, 0));
}

pub(crate) async fn a_call_that_expired_is_charged_when_its_finish_comes_late<F: Fixture>() {
    let f = F::start().await;
    let ann = f.organization(100).await;
    let mut request = hold(60, 10);
    request.ttl = Duration::ZERO;
    f.store().hold(&ann, request.clone()).await.unwrap();
    assert_eq!(f.expire(ann.organization_id()).await, 1);
    assert_eq!(f.expire(ann.organization_id()).await, 0);
    assert_eq!(f.books(&ann).await, (100, 0, 0));
    assert_eq!(f.store().hold(&ann, request.clone()).await.unwrap(), HoldVerdict::Conflict);
    let finish = costing(request.request_id, 45, 7);
    assert_eq!(f.store().finish(&ann, &finish).await.unwrap(), finished(45, 0, false));
    assert_eq!(f.store().finish(&ann, &finish).await.unwrap(), finished(45, 0, true));
    assert_eq!(f.books(&ann).await, (55, 0, 0));
}

pub(crate) async fn a_hold_that_was_lost_is_charged_all_the_same<F: Fixture>() {
    let f = F::start().await;
    let ann = f.organization(100).await;
    let finish = costing(RequestId::generate(), 120, 7);
    assert_eq!(f.store().finish(&ann, &finish).await.unwrap(), finished(100, 20, false));
    assert_eq!(f.store().finish(&ann, &finish).await.unwrap(), finished(100, 20, true));
    assert_eq!(f.books(&ann).await, (0, 0, 20));
}

pub(crate) async fn a_heartbeat_lets_a_hold_stand_and_is_what_an_expiry_charges<F: Fixture>() {
    let f = F::start().await;
    let ann = f.organization(100).await;
    let id = ann.organization_id();
    f.set_policy(id, budget(Some(50), None)).await;
    let (mut going, mut silent) = (hold(30, 20), hold(60, 10));
    (going.ttl, silent.ttl) = (Duration::ZERO, Duration::ZERO);
    // In this order: a new hold would end what is overdue.
    for request in [&silent, &going] {
        let mut long = request.clone();
        long.ttl = Duration::from_millis(1);
        assert_eq!(f.store().hold(&ann, long).await.unwrap(), GRANTED);
        let beat = |used, tokens| Heartbeat {
            request_id: request.request_id,
            used: Credits::from_nanos(used),
            tokens,
        };
        let ttl = Duration::from_mins(5);
        let renewed = f.store().renew(id, &[beat(7, 3)], ttl).await.unwrap();
        assert_eq!(renewed, [request.request_id]);
        // What was seen once is not taken back by a heartbeat that comes late.
        f.store().renew(id, &[beat(2, 1)], Duration::ZERO).await.unwrap();
    }
    assert_eq!(f.expire(id).await, 0, "the heartbeat lets it stand");
    assert_eq!(f.books(&ann).await, (100, 90, 0));
    f.end_time(id, silent.request_id).await;
    assert_eq!(f.expire(id).await, 1);
    assert_eq!(f.books(&ann).await, (93, 30, 0));
    // What came after the last heartbeat is charged by the finish, and nothing twice.
    let late = costing(silent.request_id, 10, 4);
    assert_eq!(f.store().finish(&ann, &late).await.unwrap(), finished(10, 0, false));
    f.store().finish(&ann, &costing(going.request_id, 20, 5)).await.unwrap();
    assert_eq!(f.books(&ann).await, (70, 0, 0));
    let refused = f.store().hold(&ann, hold(1, 42)).await.unwrap();
    assert!(matches!(refused, HoldVerdict::BudgetExceeded(_)), "{refused:?}");
    assert_eq!(f.store().hold(&ann, hold(1, 41)).await.unwrap(), GRANTED);
    let ended =
        Heartbeat { request_id: going.request_id, used: Credits::from_nanos(99), tokens: 99 };
    let renewed = f.store().renew(id, &[ended], Duration::from_mins(5)).await.unwrap();
    assert_eq!(renewed, [], "what has ended does not stand again");
}

pub(crate) async fn overdue_holds_do_not_refuse_new_ones<F: Fixture>() {
    let f = F::start().await;
    let ann = f.organization(100).await;
    f.set_policy(ann.organization_id(), budget(Some(10), None)).await;
    let mut lost = hold(100, 1);
    lost.ttl = Duration::ZERO;
    assert_eq!(f.store().hold(&ann, lost.clone()).await.unwrap(), GRANTED);
    lost.request_id = RequestId::generate();
    (lost.amount, lost.tokens) = (Credits::from_nanos(1), 10);
    assert_eq!(f.store().hold(&ann, lost).await.unwrap(), GRANTED);
    assert_eq!(f.store().hold(&ann, hold(1, 10)).await.unwrap(), GRANTED);
    assert_eq!(f.books(&ann).await, (100, 1, 0));
}

pub(crate) async fn a_hundred_holds_on_a_balance_for_ten_grant_ten<F: Fixture>() {
    let f = F::start().await;
    let ann = f.organization(109).await;
    let verdicts = join_all((0..100).map(|_| f.store().hold(&ann, hold(10, 1)))).await;
    let granted = verdicts.iter().filter(|verdict| matches!(verdict, Ok(GRANTED))).count();
    assert_eq!(granted, 10);
    assert_eq!(f.books(&ann).await, (109, 100, 0));
}

pub(crate) async fn a_hundred_first_holds_on_a_budget_for_ten_grant_ten<F: Fixture>() {
    let f = F::start().await;
    let ann = f.organization(1_000).await;
    f.set_policy(ann.organization_id(), budget(Some(109), None)).await;
    let verdicts = join_all((0..100).map(|_| f.store().hold(&ann, hold(1, 10)))).await;
    let granted = verdicts.iter().filter(|verdict| matches!(verdict, Ok(GRANTED))).count();
    assert_eq!(granted, 10);
    assert_eq!(f.books(&ann).await, (1_000, 10, 0));
}

pub(crate) async fn the_standing_has_the_policy_and_the_membership<F: Fixture>() {
    let f = F::start().await;
    let ann = f.organization(0).await;
    let id = ann.organization_id();
    let standing = f.store().standing(&ann).await.unwrap();
    assert_eq!((&*standing.policy, standing.role), (&Policy::default(), None));
    let policy = Policy {
        models: AllowList::Only(vec!["gpt-4o*".into(), "naïve \"model\"".into()]),
        ..budget(Some(u64::MAX), Some(0))
    };
    f.set_policy(id, policy.clone()).await;
    f.set_role(id, "ann", Role::Admin).await;
    let standing = f.store().standing(&ann).await.unwrap();
    assert_eq!((&*standing.policy, standing.role), (&policy, Some(Role::Admin)));
    let by_token = f.store().standing(&ann.clone().with_role(Role::Viewer)).await.unwrap();
    assert_eq!(by_token.role, Some(Role::Viewer));
    assert_eq!(f.store().standing(&Tenant::new(id, "bob")).await.unwrap().role, None);
}

pub(crate) async fn the_standing_has_the_rates_that_a_caller_meets<F: Fixture>() {
    let f = F::start().await;
    let ann = f.organization(0).await;
    let (id, team, key) = (ann.organization_id(), Uuid::now_v7(), Uuid::now_v7());
    let (team_id, key_id) = (team.to_string(), key.to_string());
    let limit = |scope, scope_id: &str, requests| RateLimit {
        scope,
        scope_id: scope_id.into(),
        model_pattern: "*".into(),
        rates: Rates {
            requests_per_minute: NonZeroU32::new(requests),
            tokens_per_minute: NonZeroU32::new(u32::MAX),
            calls_in_flight: None,
        },
    };
    for limit in [
        limit(Scope::Key, Scope::EACH, 1),
        limit(Scope::User, "bob", 2),
        limit(Scope::User, Scope::EACH, 3),
        limit(Scope::Team, &team_id, 4),
        limit(Scope::Organization, "", 5),
        limit(Scope::Team, Scope::EACH, 6),
    ] {
        f.set_rate_limit(id, limit).await;
    }
    let met = async |tenant: Tenant| f.store().standing(&tenant).await.unwrap().rates.to_vec();
    let everybodys = limit(Scope::Organization, "", 5);
    assert_eq!(met(ann.clone()).await, [everybodys.clone(), limit(Scope::User, "ann", 3)]);
    let bob = Tenant::new(id, "bob").with_team(TeamId::new(team)).with_key(KeyId::new(key));
    let expected = [
        everybodys.clone(),
        limit(Scope::Team, &team_id, 4),
        limit(Scope::User, "bob", 2),
        limit(Scope::Key, &key_id, 1),
    ];
    assert_eq!(met(bob).await, expected);
    let other = Uuid::now_v7();
    let eve = Tenant::new(id, "eve").with_team(TeamId::new(other));
    let expected =
        [everybodys, limit(Scope::Team, &other.to_string(), 6), limit(Scope::User, "eve", 3)];
    assert_eq!(met(eve).await, expected);
    // Another organization meets none of it, whoever calls.
    let stranger = f.organization(0).await.organization_id();
    assert_eq!(met(Tenant::new(stranger, "bob").with_team(TeamId::new(team))).await, []);
}

pub(crate) async fn nothing_is_agreed_with_an_organization_unless_somebody_did<F: Fixture>() {
    let f = F::start().await;
    let ann = f.organization(0).await;
    let stranger = Tenant::new(OrganizationId::new(Uuid::now_v7()), "eve");
    for tenant in [&ann, &stranger] {
        assert_eq!(f.store().agreement(tenant).await.unwrap(), Agreement::default());
    }
    f.agree(ann.organization_id(), 2_500, &[price("own", 7)]).await;
    let agreement = f.store().agreement(&ann).await.unwrap();
    assert_eq!(agreement.markup_bps(), 2_500);
    let list = PriceBook::new([price("own", 9), price("listed", 4)]);
    let cost = |model, input| {
        let usage = Usage { input, ..Usage::default() };
        agreement.quote(&list, model).unwrap().cost(&usage).unwrap().nanos()
    };
    assert_eq!((cost("own", 1_000_000), cost("listed", 1_000_000)), (7, 5));
    assert_eq!(f.store().agreement(&stranger).await.unwrap(), Agreement::default());
}

/// Nano-dollars per million input tokens.
pub(crate) fn price(model: &str, input: i64) -> ModelPrice {
    let rates = price::Rates { input, output: 2, ..price::Rates::default() };
    ModelPrice {
        price_id: PriceId::new(Uuid::nil()),
        model: model.into(),
        provider: "mock".into(),
        mode: "chat".into(),
        per_request: Credits::ZERO,
        tiers: vec![Tier { from_input_tokens: 0, rates }],
        input_tokens_max: None,
        output_tokens_max: None,
    }
}
