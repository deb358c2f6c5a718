//! Every figure at its boundary and next to it: free credits, held credits, debt, and each window.

use uuid::Uuid;

use super::*;
use crate::domain::ids::PriceId;

/// 2024-02-28T23:00:00Z: an hour before the day ends, and a day and an hour before the month does.
const AT_MS: u64 = 1_709_161_200_000;
const DAY_MS: u64 = 86_400_000;
const MINUTE: Duration = Duration::from_mins(1);

/// A call that arrived at this time.
fn arrived(at_ms: u64) -> RequestId {
    let seconds = at_ms / 1000;
    let nanos = u32::try_from(at_ms % 1000).unwrap().saturating_mul(1_000_000);
    let at = uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos);
    RequestId::new(Uuid::new_v7(at))
}

fn request(amount: i64, tokens: i64) -> HoldRequest {
    let request_id = arrived(AT_MS);
    HoldRequest { request_id, amount: Credits::from_nanos(amount), tokens, ttl: MINUTE }
}

fn settlement(amount: i64, tokens: i64) -> Settlement {
    Settlement {
        amount: Credits::from_nanos(amount),
        tokens,
        price_id: PriceId::new(Uuid::nil()),
        markup_bps: 0,
        release: false,
    }
}

fn with(posted: i64) -> Account {
    let mut account = Account::default();
    account.grant(Credits::from_nanos(posted)).unwrap();
    account
}

fn hold(account: &mut Account, amount: i64, tokens: i64) -> RequestId {
    let request = request(amount, tokens);
    let verdict = account.hold(&request, &Budgets::default());
    assert_eq!(verdict, HoldVerdict::Granted);
    request.request_id
}

/// Posted, held and owed. Asserts that the books are in order.
fn books(account: &Account) -> (i64, i64, i64) {
    assert_eq!(account.broken(), Vec::<String>::new());
    (account.posted, account.held, account.debt)
}

/// The used and the held tokens in the day and in the month of [`AT_MS`].
fn tokens(account: &Account) -> [(i64, i64); 2] {
    [Window::Day, Window::Month].map(|window| {
        let start = Start::of(window, AT_MS.try_into().unwrap());
        account.windows.get(&start).map_or((0, 0), |tokens| (tokens.used, tokens.held))
    })
}

fn finished(charged: i64, debt: i64, replayed: bool) -> Finished {
    let of = Credits::from_nanos;
    Finished { charged: of(charged), debt: of(debt), replayed }
}

fn insufficient(available: i64, may_wait: bool) -> HoldVerdict {
    HoldVerdict::Insufficient { available: Credits::from_nanos(available), may_wait }
}

fn beat(request_id: RequestId, used: i64, tokens: i64) -> Heartbeat {
    Heartbeat { request_id, used: Credits::from_nanos(used), tokens }
}

#[test]
fn a_hold_up_to_what_is_free_is_granted_and_beyond_it_may_wait_only_for_what_others_hold() {
    let mut account = with(100);
    hold(&mut account, 60, 1);
    let mut ask = |amount| account.hold(&request(amount, 1), &Budgets::default());
    assert_eq!(ask(41), insufficient(40, true));
    assert_eq!(ask(100), insufficient(40, true));
    assert_eq!(ask(101), insufficient(40, false));
    assert_eq!(ask(40), HoldVerdict::Granted);
    assert_eq!(ask(0), HoldVerdict::Granted);
    assert_eq!(ask(1), insufficient(0, true));
    assert_eq!(books(&account), (100, 100, 0));
    assert_eq!(tokens(&account), [(0, 3), (0, 3)]);
}

#[test]
fn where_anything_is_owed_nothing_is_free_and_nothing_to_wait_for() {
    let mut account = with(10);
    hold(&mut account, 5, 1);
    assert_eq!(account.settle(arrived(AT_MS), &settlement(6, 1)), Ok(finished(5, 1, false)));
    assert_eq!(books(&account), (5, 5, 1));
    for amount in [0, 1, 6] {
        let verdict = account.hold(&request(amount, 1), &Budgets::default());
        assert_eq!(verdict, insufficient(0, false), "{amount}");
    }
    account.grant(Credits::from_nanos(1)).unwrap();
    assert_eq!(books(&account), (5, 5, 0));
    assert_eq!(account.hold(&request(0, 1), &Budgets::default()), HoldVerdict::Granted);
}

#[test]
fn a_repeated_hold_is_granted_again_and_another_figure_or_an_ended_call_is_a_conflict() {
    let mut account = with(100);
    let first = request(30, 5);
    let again = |amount, tokens| HoldRequest {
        amount: Credits::from_nanos(amount),
        tokens,
        ..first.clone()
    };
    for (amount, tokens, expected) in [
        (30, 5, HoldVerdict::Granted),
        (30, 5, HoldVerdict::Granted),
        (31, 5, HoldVerdict::Conflict),
        (30, 6, HoldVerdict::Conflict),
    ] {
        assert_eq!(account.hold(&again(amount, tokens), &Budgets::default()), expected);
    }
    assert_eq!(books(&account), (100, 30, 0));
    account.settle(first.request_id, &settlement(1, 1)).unwrap();
    assert_eq!(account.hold(&again(30, 5), &Budgets::default()), HoldVerdict::Conflict);
    for (amount, tokens) in [(-1, 0), (0, -1)] {
        let verdict = account.hold(&request(amount, tokens), &Budgets::default());
        assert_eq!(verdict, HoldVerdict::Conflict);
    }
    assert_eq!(books(&account), (99, 0, 0));
}

#[test]
fn a_grant_pays_what_is_owed_first_and_is_refused_below_nothing_and_beyond_any_amount() {
    let mut account = Account::default();
    account.settle(arrived(AT_MS), &settlement(4, 1)).unwrap();
    let grant = |account: &mut Account, nanos| account.grant(Credits::from_nanos(nanos));
    let balance = |posted, debt| {
        let of = Credits::from_nanos;
        Ok(Balance { posted: of(posted), held: of(0), debt: of(debt) })
    };
    assert_eq!(grant(&mut account, 3), balance(0, 1));
    assert_eq!(grant(&mut account, -1), Err(OutOfRange));
    assert_eq!(grant(&mut account, 0), balance(0, 1));
    assert_eq!(grant(&mut account, i64::MAX), balance(i64::MAX - 1, 0));
    assert_eq!(grant(&mut account, 2), Err(OutOfRange));
    assert_eq!(grant(&mut account, 1), balance(i64::MAX, 0));
    assert_eq!(grant(&mut account, 0), balance(i64::MAX, 0));
    assert_eq!(books(&account), (i64::MAX, 0, 0));
}

#[test]
fn a_settlement_takes_its_hold_then_what_is_free_then_owes() {
    let mut account = with(100);
    let [a, b] = [hold(&mut account, 30, 1), hold(&mut account, 50, 2)];
    assert_eq!(account.settle(a, &settlement(45, 3)), Ok(finished(45, 0, false)));
    assert_eq!(books(&account), (55, 50, 0));
    assert_eq!(tokens(&account), [(3, 2), (3, 2)]);
    assert_eq!(account.settle(b, &settlement(56, 0)), Ok(finished(55, 1, false)));
    assert_eq!(books(&account), (0, 0, 1));
    assert_eq!(tokens(&account), [(3, 0), (3, 0)]);
    // A repeated finish changes nothing and gets the same answer.
    assert_eq!(account.settle(b, &settlement(9, 9)), Ok(finished(55, 1, true)));
    assert_eq!(account.replay(b), finished(55, 1, true));
    assert_eq!(account.replay(arrived(AT_MS)), finished(0, 0, true));
    assert_eq!(books(&account), (0, 0, 1));
}

#[test]
fn more_is_never_owed_than_any_amount() {
    let mut account = with(5);
    let a = hold(&mut account, 5, 1);
    account.settle(arrived(AT_MS), &settlement(i64::MAX, 1)).unwrap();
    assert_eq!(books(&account), (5, 5, i64::MAX));
    assert_eq!(account.settle(arrived(AT_MS), &settlement(1, 1)), Err(OutOfRange));
    assert_eq!(account.settle(a, &settlement(6, 1)), Err(OutOfRange));
    assert_eq!(books(&account), (5, 5, i64::MAX));
    assert_eq!(account.settle(a, &settlement(5, 1)), Ok(finished(5, 0, false)));
    assert_eq!(books(&account), (0, 0, i64::MAX));
}

#[test]
fn what_overdue_holds_had_used_is_charged_once_and_their_late_finish_pays_the_rest() {
    let mut account = with(50);
    let [a, b, c] =
        [hold(&mut account, 10, 4), hold(&mut account, 20, 4), hold(&mut account, 1, 1)];
    let [beats, late] = [[beat(a, 15, 3), beat(b, 7, 2)], [beat(a, 14, 1), beat(b, 8, 1)]];
    assert_eq!(account.renew(&beats, MINUTE), [a, b]);
    assert_eq!(account.renew(&late, Duration::ZERO), [a, b]);
    assert_eq!(account.renew(&[beat(arrived(AT_MS), 1, 1)], MINUTE), []);
    assert_eq!(account.expire(), 0, "a heartbeat never shortens the time of a hold");
    account.end_time(a);
    account.end_time(b);
    account.end_time(arrived(AT_MS));
    assert_eq!(account.expire(), 2);
    assert_eq!(books(&account), (50 - 15 - 8, 1, 0));
    assert_eq!(tokens(&account), [(5, 1), (5, 1)]);
    assert_eq!(account.expire(), 0);
    assert_eq!(account.renew(&late, MINUTE), []);
    assert_eq!(account.settle(a, &settlement(17, 5)), Ok(finished(17, 0, false)));
    // The expired hold was charged more than the call cost.
    assert_eq!(account.settle(b, &settlement(6, 1)), Ok(finished(8, 0, false)));
    assert_eq!(books(&account), (50 - 17 - 8, 1, 0));
    assert_eq!(tokens(&account), [(7, 1), (7, 1)]);
    account.give_back(&[c, c, a, arrived(AT_MS)]);
    assert_eq!(books(&account), (25, 0, 0));
    assert_eq!(tokens(&account), [(7, 0), (7, 0)]);
    assert_eq!(account.settle(a, &settlement(99, 9)), Ok(finished(17, 0, true)));
}

#[test]
fn what_an_expiry_cannot_charge_is_owed_and_its_finish_owes_on() {
    let mut account = with(50);
    let [a, _] = [hold(&mut account, 10, 1), hold(&mut account, 20, 1)];
    account.renew(&[beat(a, 35, 2)], MINUTE);
    account.give_back(&[a]);
    assert_eq!(books(&account), (20, 20, 5));
    assert_eq!(account.settle(a, &settlement(40, 2)), Ok(finished(30, 10, false)));
    assert_eq!(books(&account), (20, 20, 10));
}

#[test]
fn overdue_holds_go_only_where_a_call_needs_it() {
    let mut account = with(100);
    let overdue = HoldRequest { ttl: Duration::ZERO, ..request(60, 1) };
    assert_eq!(account.hold(&overdue, &Budgets::default()), HoldVerdict::Granted);
    hold(&mut account, 40, 1);
    assert_eq!(books(&account), (100, 100, 0));
    assert_eq!(account.hold(&request(61, 1), &Budgets::default()), insufficient(60, true));
    assert_eq!(books(&account), (100, 40, 0));
    let for_ever = HoldRequest { ttl: Duration::MAX, ..request(60, 1) };
    assert_eq!(account.hold(&for_ever, &Budgets::default()), HoldVerdict::Granted);
    account.renew(&[beat(for_ever.request_id, 1, 1)], Duration::ZERO);
    assert_eq!(account.expire(), 0, "what never ends is not overdue");
}

fn exceeded(window: Window, retry_after: Duration, may_wait: bool) -> HoldVerdict {
    let (scope, unit) = (Scope::Organization, Unit::Tokens);
    HoldVerdict::BudgetExceeded(Exceeded { scope, window, unit, retry_after, may_wait })
}

#[test]
fn a_budget_covers_up_to_its_cap_exactly_in_the_window_in_which_a_call_arrives() {
    for (window, budgets, left) in [
        (
            Window::Day,
            Budgets { daily_tokens: Some(10), monthly_tokens: None },
            Duration::from_hours(1),
        ),
        (
            Window::Month,
            Budgets { daily_tokens: None, monthly_tokens: Some(10) },
            Duration::from_hours(25),
        ),
        (
            Window::Month,
            Budgets { daily_tokens: Some(10), monthly_tokens: Some(10) },
            Duration::from_hours(25),
        ),
    ] {
        let mut account = with(100);
        account.settle(arrived(AT_MS), &settlement(1, 3)).unwrap();
        hold(&mut account, 1, 2);
        let mut ask = |tokens| account.hold(&request(1, tokens), &budgets);
        assert_eq!(ask(6), exceeded(window, left, true));
        assert_eq!(ask(7), exceeded(window, left, true));
        assert_eq!(ask(8), exceeded(window, left, false));
        assert_eq!(ask(5), HoldVerdict::Granted);
        assert_eq!(ask(0), HoldVerdict::Granted);
        assert_eq!(ask(1), exceeded(window, left, true));
        assert_eq!(books(&account), (99, 3, 0));
        assert_eq!(tokens(&account), [(3, 7), (3, 7)]);
        // Tomorrow is another day, and the day after it another month.
        let later = |days: u64| HoldRequest {
            request_id: arrived(AT_MS.saturating_add(days.saturating_mul(DAY_MS))),
            ..request(1, 1)
        };
        let tomorrow = account.hold(&later(1), &budgets);
        assert_eq!(tomorrow == HoldVerdict::Granted, window == Window::Day);
        assert_eq!(account.hold(&later(2), &budgets), HoldVerdict::Granted);
    }
}

#[test]
fn figures_at_the_edge_do_not_wrap_in_a_budget() {
    let budgets = Budgets { daily_tokens: Some(u64::MAX), monthly_tokens: None };
    let mut account = with(100);
    assert_eq!(account.hold(&request(1, i64::MAX), &budgets), HoldVerdict::Granted);
    assert_eq!(account.hold(&request(1, i64::MAX), &budgets), HoldVerdict::Granted);
    let edge = u64::try_from(i64::MAX).unwrap() - 1;
    let budgets = Budgets { daily_tokens: Some(edge), monthly_tokens: None };
    let verdict = account.hold(&request(1, i64::MAX), &budgets);
    assert_eq!(verdict, exceeded(Window::Day, Duration::from_hours(1), false));
}

#[test]
fn an_amount_that_was_tampered_with_is_found() {
    type Fault = fn(&mut Account);
    let faults: [(Fault, &str); 8] = [
        (|account| account.held += 1, "the sum of open holds"),
        (|account| account.posted += 1, "the sum of all movements"),
        (|account| account.debt += 1, "the sum of all movements"),
        (|account| account.posted = 29, "bounds"),
        (|account| account.held = -1, "bounds"),
        (|account| account.debt = -1, "bounds"),
        (
            |account| account.windows.values_mut().for_each(|window| window.held += 1),
            "the tokens of open holds",
        ),
        (|account| account.windows.clear(), "the tokens of open holds"),
    ];
    for (place, (fault, finding)) in faults.into_iter().enumerate() {
        let mut account = with(100);
        hold(&mut account, 30, 5);
        assert_eq!(account.broken(), Vec::<String>::new());
        fault(&mut account);
        let broken = account.broken();
        assert!(broken.iter().any(|found| found.starts_with(finding)), "{place}: {broken:?}");
    }
    // All credits may be held.
    let mut account = with(30);
    hold(&mut account, 30, 5);
    assert_eq!(account.broken(), Vec::<String>::new());
}

#[test]
fn the_latest_thousand_calls_are_told_from_new_ones_and_older_ones_are_forgotten() {
    let mut account = with(1_000_000);
    let first = arrived(AT_MS);
    account.settle(first, &settlement(1, 1)).unwrap();
    for _ in 1..ENDED_MAX {
        account.settle(arrived(AT_MS), &settlement(1, 1)).unwrap();
    }
    assert_eq!(account.settle(first, &settlement(1, 1)), Ok(finished(1, 0, true)));
    assert_eq!(account.ended.len(), ENDED_MAX);
    account.settle(arrived(AT_MS), &settlement(1, 1)).unwrap();
    assert_eq!((account.ended.len(), account.ended_order.len()), (ENDED_MAX, ENDED_MAX));
    assert_eq!(account.replay(first), finished(0, 0, true));
}

#[test]
fn windows_that_are_over_are_forgotten_unless_something_is_held_in_them() {
    let mut account = with(1_000);
    let held = request(1, 7);
    assert_eq!(account.hold(&held, &Budgets::default()), HoldVerdict::Granted);
    for day in 1..200_u64 {
        let at = AT_MS.saturating_add(day.saturating_mul(DAY_MS));
        account.settle(arrived(at), &settlement(1, 2)).unwrap();
        assert!(account.windows.len() <= WINDOWS_MAX + 3, "{}", account.windows.len());
    }
    assert_eq!(tokens(&account), [(0, 7), (2, 7)]);
    assert_eq!(books(&account), (801, 1, 0));
    account.settle(arrived(AT_MS), &settlement(0, 0)).unwrap();
    let before = account.windows.len();
    account.settle(arrived(AT_MS - 400 * DAY_MS), &settlement(0, 0)).unwrap();
    assert_eq!(account.windows.len(), before, "a call without tokens makes no window");
}

#[test]
fn windows_that_are_over_are_forgotten_once_there_are_many_and_not_before() {
    // On whichever day of a month the bound is reached.
    for from in 0..31 {
        let mut account = with(1_000);
        let last = u64::try_from(WINDOWS_MAX).unwrap() * 2;
        for day in 0..=last {
            let request_id = arrived(AT_MS + (from + day) * DAY_MS);
            let request = HoldRequest { request_id, amount: Credits::ZERO, tokens: 1, ttl: MINUTE };
            assert_eq!(account.hold(&request, &Budgets::default()), HoldVerdict::Granted);
            account.settle(request_id, &settlement(0, 1)).unwrap();
            // A call adds a day and a month before past windows are swept.
            assert!(account.windows.len() <= WINDOWS_MAX + 2, "day {day} from {from}");
            if (from, day) == (0, 1) {
                assert_eq!(tokens(&account)[0], (1, 0), "remembered while there is room");
            }
        }
    }
}
