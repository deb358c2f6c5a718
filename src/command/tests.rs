use clap::error::ErrorKind;

use super::*;
use crate::domain::{credits::Credits, role::Role, scope::Scope, switch::Switch};

const ORG: &str = "0192f0c1-2345-7890-abcd-ef0123456789";

fn parse(line: &str) -> Result<Command, clap::Error> {
    let words = std::iter::once("tollgate").chain(line.split_whitespace());
    let cli = Cli::from_arg_matches(&Cli::known().try_get_matches_from(words)?)?;
    Ok(cli.command)
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::known().debug_assert();
}

#[test]
fn dev_needs_nothing() {
    let Command::Dev(dev) = parse("dev --json").unwrap() else { panic!() };
    assert_eq!(dev.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(dev.data_dir.to_str(), Some(".tollgate"));
    assert!(dev.json && dev.upstream.is_none());
}

#[test]
fn a_token_names_organization_person_and_role() {
    let Command::Token(token) =
        parse(&format!("token --org {ORG} --user ada --role member --ttl 90m")).unwrap()
    else {
        panic!()
    };
    assert_eq!(
        (token.org.to_string().as_str(), token.role, token.ttl.as_secs()),
        (ORG, Role::Member, 5400)
    );
    for line in [
        "token --org acme --user ada --role member",
        &format!("token --org {ORG} --user ada --role king"),
    ] {
        assert_eq!(parse(line).unwrap_err().kind(), ErrorKind::ValueValidation, "{line}");
    }
}

#[test]
fn an_amount_is_exact_or_refused() {
    let Command::Credits(credits::CreditsArgs {
        command: credits::CreditsCommand::Grant { amount, .. },
    }) = parse(&format!("credits grant --org {ORG} --amount 0.25")).unwrap()
    else {
        panic!()
    };
    assert_eq!(amount, Credits::from_nanos(250_000_000));
    for amount in ["1e3", "0", "0.0", "-5", ""] {
        let line = format!("credits grant --org {ORG} --amount={amount}");
        assert_eq!(parse(&line).unwrap_err().kind(), ErrorKind::ValueValidation, "{line}");
    }
    for line in ["credits grant --amount -5", "prices set-override --model m --input -0.5"] {
        let refused = parse(&format!("{line} --org {ORG}")).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ValueValidation, "{line}: {refused}");
    }
}

#[test]
fn an_organization_has_a_name() {
    assert!(parse("org create --name Acme").is_ok());
    assert!(parse("org create --name=").is_err());
}

#[test]
fn a_switch_is_of_the_whole_organization_or_of_one_part_of_it() {
    let part = |options: &str| {
        let line = format!("org suspend {ORG} {options}");
        let Command::Org(org::OrgArgs { command }) = parse(&line)? else { panic!() };
        let org::OrgCommand::Suspend { part, .. } = command else { panic!() };
        Ok::<_, clap::Error>(Switch::from(part))
    };
    assert_eq!(part("--reason leak").unwrap(), Switch::Organization);
    assert_eq!(part("--user auth0|ann").unwrap(), Switch::User("auth0|ann".into()));
    for scope in [Scope::Team, Scope::Key] {
        let switch = part(&format!("--{scope} {ORG}")).unwrap();
        assert_eq!((switch.scope(), &*switch.scope_id()), (scope, ORG));
        assert_eq!(part(&format!("--{scope} ann")).unwrap_err().kind(), ErrorKind::ValueValidation);
    }
    assert_eq!(part("--user=").unwrap_err().kind(), ErrorKind::ValueValidation);
    let two = part(&format!("--user ann --team {ORG}")).unwrap_err();
    assert_eq!(two.kind(), ErrorKind::ArgumentConflict);
}

#[test]
fn operators_commands_take_a_database_a_file_and_json() {
    for line in [
        "migrate",
        "reconcile",
        &format!("org show {ORG}"),
        "org create --name Acme",
        &format!("org suspend {ORG}"),
        &format!("org resume {ORG}"),
        &format!("policy show --org {ORG}"),
        &format!("policy set --org {ORG} {{}}"),
        "prices import prices.json --from litellm --effective-from 2027-01-01 --partial --dry-run",
        "prices import --built-in --accept-jumps",
        "prices show",
        &format!("prices show --org {ORG} --model small --at 2027-01-01T00:00:00Z"),
        &format!("prices set-override --org {ORG} --model small --input 0.15 --output 0.6"),
        &format!("prices set-override --org {ORG} --file own.json"),
        &format!("prices end-override --org {ORG} --model small"),
        &format!("prices markup --org {ORG} --bps 1000000"),
        &format!("prices rebill --org {ORG} --from 2026-11-01 --to 2026-12-01 --at current"),
        "prices rebill --all --from 2026-11-01T00:00:00Z --at 2026-12-01",
        &format!("statement --org {ORG} --from 2026-11-01 --to 2026-12-01 --all"),
    ] {
        parse(&format!("{line} --json --database-url postgres://db --config tollgate.toml"))
            .unwrap();
    }
}

#[test]
fn keys_for_seals_are_named_one_by_one_or_none_is_asked_for() {
    let Command::Migrate(migrate) =
        parse("migrate --seal-key env:NEW --seal-key file:/old").unwrap()
    else {
        panic!()
    };
    assert_eq!(migrate.seal_key, ["env:NEW", "file:/old"]);
    assert!(parse("migrate --unseal").is_ok());
    assert!(parse("migrate --unseal --seal-key env:NEW").is_err());
}

#[test]
fn what_would_not_be_exact_or_not_be_a_moment_is_not_understood() {
    for line in [
        "prices import",
        "prices import a.json --built-in",
        "prices import a.json --from yaml",
        "prices import a.json --effective-from tomorrow",
        &format!("prices set-override --org {ORG}"),
        &format!("prices set-override --org {ORG} --model m"),
        &format!("prices set-override --org {ORG} --file f --model m --input 1"),
        &format!("prices set-override --org {ORG} --file f --input 1"),
        &format!("prices set-override --org {ORG} --model m --input=-1"),
        &format!("prices set-override --org {ORG} --model m --input 1e-10"),
        &format!("prices markup --org {ORG} --bps 1000001"),
        &format!("prices markup --org {ORG} --bps=-1"),
        &format!("prices markup --org {ORG} --bps 2.5"),
        "prices rebill --from 2026-11-01",
        &format!("prices rebill --org {ORG} --all --from 2026-11-01"),
        &format!("prices rebill --org {ORG} --from 2026-11-31"),
        &format!("prices rebill --org {ORG} --from 2026-11-01 --at then"),
        &format!("statement --org {ORG} --from 2026-02-29"),
        &format!("statement --org {ORG} --from 2026-11-01 --csv --json"),
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot write")]
struct CannotWrite(#[source] io::Error);

#[test]
fn a_failure_says_its_causes_once() {
    let error = CannotWrite(io::Error::other("the disk is gone"));
    assert_eq!(Failure::from(error).to_string(), "cannot write: the disk is gone");
}

#[test]
fn a_limit_names_whose_it_is_and_at_least_one_rate() {
    let set = format!("limits set --org {ORG} --scope");
    for line in [
        format!("{set} organization --requests-per-minute 60"),
        format!("{set} user --each --model gpt-4o* --tokens-per-minute none --calls-in-flight 4"),
        format!("limits remove --org {ORG} --scope key --id {ORG}"),
        format!("limits show --org {ORG}"),
    ] {
        assert!(matches!(parse(&line), Ok(Command::Limits(_))), "{line}");
    }
    for (line, kind) in [
        (format!("{set} organization"), ErrorKind::MissingRequiredArgument),
        (format!("{set} model --requests-per-minute 60"), ErrorKind::ValueValidation),
        (
            format!("{set} user --id ada --each --requests-per-minute 60"),
            ErrorKind::ArgumentConflict,
        ),
        (format!("{set} user --each --requests-per-minute 0"), ErrorKind::ValueValidation),
        (format!("{set} user --each --requests-per-minute 4294967296"), ErrorKind::ValueValidation),
        (format!("{set} user --each --calls-in-flight 1.5"), ErrorKind::ValueValidation),
    ] {
        assert_eq!(parse(&line).unwrap_err().kind(), kind, "{line}");
    }
}
