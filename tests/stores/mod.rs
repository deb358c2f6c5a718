//! One behaviour suite that runs over every store, and further tests for Postgres only.

mod budgets;
mod cases;
mod catalog;
mod constraints;
pub(crate) mod corruptions;
mod edges;
mod fixture;
mod fuzz;
mod isolation;
mod limits;
mod logged;
mod operator;
mod plans;
mod prices;
mod rebill;
mod reconcile;
mod sealed;
mod spelling;
mod statements;
mod stopped;
mod suite;
mod supabase;
mod sweep;

use crate::logs;

macro_rules! suite {
    ($($name:ident,)*) => {
        mod memory {
            $(
                #[tokio::test]
                async fn $name() {
                    super::suite::$name::<super::fixture::Memory>().await;
                }
            )*
        }
        mod postgres {
            $(
                #[tokio::test]
                async fn $name() {
                    super::suite::$name::<super::fixture::Postgres>().await;
                }
            )*
        }
        mod postgres_with_seals {
            $(
                #[tokio::test]
                async fn $name() {
                    super::suite::$name::<super::fixture::Sealed>().await;
                }
            )*
        }
    };
}

suite! {
    a_hold_sets_credits_aside_and_its_settlement_takes_them,
    a_repeated_hold_is_granted_again_and_holds_nothing_more,
    a_request_id_used_for_something_else_is_a_conflict,
    a_hold_beyond_the_free_balance_is_refused_with_what_is_free,
    a_budget_refuses_what_it_does_not_cover_and_says_until_when,
    tokens_that_were_not_used_go_back_to_the_budget,
    both_kill_switches_refuse_at_once,
    a_switch_stops_its_own_and_nobody_else,
    an_organization_that_is_not_there_is_told_apart,
    a_settlement_beyond_the_hold_takes_what_is_free,
    a_settlement_beyond_everything_leaves_a_debt_that_a_grant_pays_first,
    a_settlement_never_takes_what_others_hold,
    a_release_gives_everything_back,
    a_repeated_finish_changes_nothing,
    a_finish_without_a_hold_moves_no_credits,
    a_call_that_expired_is_charged_when_its_finish_comes_late,
    a_hold_that_was_lost_is_charged_all_the_same,
    a_heartbeat_lets_a_hold_stand_and_is_what_an_expiry_charges,
    overdue_holds_do_not_refuse_new_ones,
    a_hundred_holds_on_a_balance_for_ten_grant_ten,
    a_hundred_first_holds_on_a_budget_for_ten_grant_ten,
    the_standing_has_the_policy_and_the_membership,
    the_standing_has_the_rates_that_a_caller_meets,
    nothing_is_agreed_with_an_organization_unless_somebody_did,
}
