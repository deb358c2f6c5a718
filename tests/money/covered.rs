//! Money bugs that users of other gateways reported, and the tests that rule out each of them here.
//!
//! The list names the tests. Each named test must exist, and must assert something or call a function that does. Only a
//! reader can tell whether it tests what its name says.
//!
//! Bugs of endpoints that are not served here, images and `/v1/responses`, are left out.

use std::{collections::HashMap, fs, path::Path};

const FAULTS: &[(&str, &[&str])] = &[
    // Budgets and limits under concurrency.
    (
        "calls at once pass a budget together",
        &[
            "where_a_hold_is_the_cost_exactly_as_many_calls_pass_as_are_paid_for",
            "credits_for_fifty_calls_let_fifty_of_five_hundred_pass_through_two_gateways",
            "however_calls_overlap_none_is_refused_that_there_are_credits_for",
        ],
    ),
    (
        "a call is refused though there is money for it",
        &[
            "where_a_hold_is_ten_times_the_cost_nobody_is_refused_because_others_hold_more_than_they_use",
        ],
    ),
    (
        "after a top-up calls are still refused",
        &[
            "a_raised_budget_and_a_top_up_count_for_the_next_call",
            "a_top_up_counts_for_the_next_call",
        ],
    ),
    (
        "the figure that is enforced is not what was spent",
        &["the_books_balance_whatever_the_clients_do"],
    ),
    (
        "what cannot be priced is not held for",
        &[
            "a_model_without_a_price_is_refused_and_never_free",
            "a_part_without_a_known_bound_is_refused",
        ],
    ),
    (
        "limits of user, team and key at once are exceeded",
        &["budgets_of_all_scopes_hold_at_once_and_no_call_is_in_anothers_way"],
    ),
    (
        "the first calls of somebody never seen all pass",
        &[
            "where_a_hold_is_the_cost_exactly_as_many_calls_pass_as_are_paid_for",
            "a_hundred_first_holds_on_a_budget_for_ten_grant_ten",
            "a_hundred_first_calls_of_one_user_team_or_key_share_its_rate",
        ],
    ),
    (
        "a hold that failed is skipped",
        &[
            "a_hold_that_loses_deadlocks_is_given_or_refused_for_now_and_never_skipped",
            "a_stranger_who_locks_one_balance_stops_its_organization_and_nobody_else",
        ],
    ),
    (
        "tokens a minute are counted after the call only",
        &["calls_that_start_together_cannot_all_pass_on_the_same_tokens"],
    ),
    (
        "an endpoint holds next to nothing and settles nothing",
        &["an_embedding_is_held_for_and_settled_like_any_other_call"],
    ),
    ("a balance goes below zero", &["the_database_itself_takes_no_books_that_cannot_be"]),
    (
        "each replica has a budget or a rate of its own",
        &[
            "where_a_hold_is_the_cost_exactly_as_many_calls_pass_as_are_paid_for",
            "rates_and_calls_in_flight_are_shared_by_replicas_and_never_exceeded",
            "two_gateways_let_no_more_pass_together_than_one_and_no_fewer",
        ],
    ),
    ("a threshold is told of at a fraction of it", &["thresholds_are_told_once_by_whole_numbers"]),
    (
        "a call counts as one token, a listing of models as a call",
        &[
            "tokens_are_corrected_in_every_limit_that_they_were_taken_from",
            "looking_at_the_models_uses_up_nothing",
        ],
    ),
    (
        "a cap must be sent where none is needed",
        &["a_cap_that_the_caller_did_not_set_is_sent_upstream"],
    ),
    // Spend lost.
    (
        "spend is dropped where the database reports a deadlock",
        &["a_finish_that_loses_deadlocks_is_written_all_the_same_and_its_answer_given"],
    ),
    (
        "calls of one organization deadlock",
        &[
            "budgets_of_all_scopes_hold_at_once_and_no_call_is_in_anothers_way",
            "a_statement_that_loses_a_deadlock_is_sent_again",
        ],
    ),
    (
        "no connection is free, and the client sees an error of the database",
        &[
            "a_pool_without_a_free_connection_refuses_in_time_and_recovers",
            "one_connection_serves_every_organization_and_says_when_it_cannot",
        ],
    ),
    (
        "a crash loses what was spent in the last seconds",
        &[
            "killed_before_its_hold_stands_a_call_costs_nothing",
            "killed_while_the_provider_works_a_call_costs_nothing_and_is_reported",
            "killed_in_the_middle_of_a_stream_a_call_costs_what_its_last_heartbeat_said_a_quarter_of_its_ttl_ago_at_the_most",
            "killed_between_the_providers_end_and_the_finish_or_inside_it_a_call_is_paid_once_or_expires",
            "a_gateway_that_dies_under_load_leaves_books_that_another_one_goes_on_with",
        ],
    ),
    (
        "the server has more connections than it can",
        &["one_connection_serves_every_organization_and_says_when_it_cannot"],
    ),
    (
        "where the database is full, good tokens are refused as bad ones",
        &["a_full_disk_of_the_log_costs_no_call_its_place_in_the_books_and_is_recovered_from"],
    ),
    (
        "after a restart of the database somebody has to restart the gateway",
        &[
            "a_server_that_goes_down_again_and_again_under_load_costs_no_call_its_place_in_the_books",
            "what_was_answered_before_a_primary_was_killed_is_in_the_books_of_its_successor",
            "a_primary_that_falls_silent_is_given_up_and_is_not_gone_back_to_when_it_wakes",
        ],
    ),
    // Client disconnect.
    (
        "a client that leaves pays nothing, or what a toss of a coin says",
        &[
            "a_client_that_leaves_at_any_byte_pays_what_the_provider_did",
            "a_client_that_leaves_at_any_byte_pays_as_much_where_the_policy_says_cancel",
            "a_client_that_leaves_before_the_head_pays_the_true_usage_whatever_the_policy",
        ],
    ),
    (
        "an attempt that failed is billed as well",
        &["a_provider_that_refuses_is_not_paid", "a_provider_that_had_failed_before_is_not_paid"],
    ),
    (
        "a stream's usage is not asked for, or shown to who did not ask",
        &[
            "the_usage_that_only_the_gateway_asked_for_is_seen_by_the_gateway_only",
            "an_answer_without_usage_is_counted_here_and_never_free",
        ],
    ),
    (
        "a stream is buffered, or no longer in flight once its head is out",
        &[
            "each_event_goes_out_as_it_comes_and_the_last_one_waits_for_the_finish",
            "a_call_is_in_flight_until_its_body_ends",
        ],
    ),
    (
        "the usage of a stream is read wrongly",
        &["a_stream_split_anywhere_is_the_same_stream", "usage_on_every_chunk_counts_once"],
    ),
    (
        "a stream that broke looks whole, or begins again",
        &["a_stream_that_breaks_ends_in_an_error_and_is_paid_as_far_as_it_came"],
    ),
    (
        "a stream has no end, and its hold with it",
        &[
            "a_stream_without_an_end_is_cut_and_paid_as_far_as_it_came",
            "a_stream_slower_than_its_hold_stands_is_settled_once_and_not_too_late",
        ],
    ),
    // Cost errors.
    (
        "cached tokens or reasoning are charged twice, or not at all",
        &[
            "every_class_of_token_is_charged_once_however_often_it_is_reported",
            "reasoning_beside_the_completion_is_told_by_the_total",
        ],
    ),
    (
        "a call is billed again",
        &[
            "a_repeated_finish_changes_nothing",
            "a_call_that_expired_is_charged_when_its_finish_comes_late",
        ],
    ),
    (
        "a call that another model answered has no price",
        &["whoever_answers_the_price_is_that_of_the_model_that_was_asked_for"],
    ),
    ("a budget is never reset", &["windows_are_days_and_months_of_the_organizations_time_zone"]),
    (
        "a price below zero mints credits, a settlement gives more back than was held",
        &[
            "a_negative_or_missing_price_is_no_price",
            "malformed_negative_and_zero_prices_leave_those_in_force",
            "the_database_itself_takes_no_books_that_cannot_be",
            "a_finish_without_a_hold_moves_no_credits",
        ],
    ),
    (
        "a sum wraps",
        &["in_postgres_every_sum_is_exact_or_refused", "in_memory_every_sum_is_exact_or_refused"],
    ),
];

fn sources(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_fault_has_tests_and_they_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = String::new();
    for folder in ["src", "tests"] {
        sources(&root.join(folder), &mut all);
    }
    let functions = functions(&all);
    for (fault, tests) in FAULTS {
        assert!(!tests.is_empty(), "{fault}");
        for test in *tests {
            let bodies = functions.get(test);
            let bodies = bodies.unwrap_or_else(|| panic!("{fault}: no test is called {test}"));
            let assert = bodies.iter().all(|body| asserts(&functions, body));
            assert!(assert, "{fault}: {test} asserts nothing");
        }
    }
}

/// All functions by their names, each to the brace that closes it: the first that is indented as it is.
fn functions(all: &str) -> HashMap<&str, Vec<&str>> {
    let mut functions: HashMap<_, Vec<_>> = HashMap::new();
    for (at, begins) in all.match_indices("fn ") {
        let rest = &all[at + begins.len()..];
        let name = rest.split(|letter| !in_name(letter)).next().unwrap_or_default();
        let line = all[..at].rsplit('\n').next().unwrap_or_default();
        let indented = &line[..line.len() - line.trim_start().len()];
        if let Some(length) = rest.find(&format!("\n{indented}}}\n")) {
            functions.entry(name).or_default().push(&rest[..length]);
        }
    }
    functions
}

fn in_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Whether there is an assertion, in a function or in one that it names. Not in a comment.
fn asserts(functions: &HashMap<&str, Vec<&str>>, body: &str) -> bool {
    let has_one = |body: &&str| {
        let mut lines = body.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
        lines.any(|line| line.contains("assert"))
    };
    let mut named = body.split(|letter| !in_name(letter)).filter_map(|name| functions.get(name));
    has_one(&body) || named.any(|bodies| bodies.iter().any(has_one))
}

#[test]
fn a_test_that_was_emptied_would_be_noticed() {
    let source = "    fn full() {\n        assert!(so);\n    }\n    fn empty() {\n        // assert!(so);\n        run();\n    }\n
fn last<T>() {\n    if so {\n    }\n    assert_eq!(1, 1);\n}\nfn by_another() {\n    last::<T>();\n}\n";
    let functions = functions(source);
    let asserting = |function| functions.get(function).map(|found| asserts(&functions, found[0]));
    assert_eq!(asserting("full"), Some(true));
    assert_eq!(asserting("empty"), Some(false));
    assert_eq!(asserting("last"), Some(true));
    assert_eq!(asserting("by_another"), Some(true));
    assert_eq!(asserting("missing"), None);
}
