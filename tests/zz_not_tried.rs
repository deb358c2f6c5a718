//! Runs after all other tests, by its name: lists what they could not try on this machine. Fails only where
//! `TOLLGATE_TRY_ALL` is set, as the last step of CI does.
#![expect(clippy::print_stdout, reason = "this is its whole purpose")]

use std::process::ExitCode;

use tollgate::postgres::cluster::testing;

fn main() -> ExitCode {
    // A runner that asks for names of tests is told none.
    if std::env::args().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let never = match testing::never_tried() {
        Ok(never) => never,
        Err(error) => {
            println!("what was not tried cannot be read: {error}");
            return ExitCode::FAILURE;
        }
    };
    if never.is_empty() {
        println!("\nNothing was skipped.\n");
        return ExitCode::SUCCESS;
    }
    println!("\nNot tried on this machine:");
    for (place, what) in never {
        println!("  {place}: for want of {what}");
    }
    println!();
    if std::env::var_os("TOLLGATE_TRY_ALL").is_some() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
