//! `tollgate migrate` and `reconcile`: is the database as it must be?

use std::process::ExitCode;

use serde_json::{Value, json};

use super::{
    Failure,
    args::{MigrateArgs, Operator as Named},
    connect,
    operate::{json_of_balance, text_of_balance},
    output::Output,
};
use crate::{
    gateway::{
        config::{Config, seal_at},
        database::DatabaseError,
        installation::{self, MAIN},
    },
    postgres::{Seal, operator::Reconciliation, sealing::Sealing},
};

pub(super) async fn migrate(args: MigrateArgs) -> Result<ExitCode, Failure> {
    let MigrateArgs { membership, seal_key, unseal, operator: named } = args;
    let (addresses, config) = connect::databases(&named)?;
    let membership =
        membership.or_else(|| config.as_ref().map(|config| config.database.membership.into()));
    let sealing = if unseal { Some(Sealing::Off) } else { sealing(&seal_key, config.as_ref())? };
    let named_file = config.as_ref();
    let applied =
        installation::migrate(&addresses, named_file, membership, sealing.as_ref()).await?;
    let texts: Vec<_> = applied
        .iter()
        .map(|(place, applied)| {
            let schema = if place == MAIN { "The schema" } else { place };
            match applied {
                0 => format!("{schema} is up to date."),
                some => format!("{some} migrations were applied. {schema} is up to date."),
            }
        })
        .collect();
    let mut text = texts.join("\n");
    // Null where nothing was changed about it.
    let sealed = sealing.as_ref().map(|sealing| !matches!(sealing, Sealing::Off));
    if let Some(sealing) = &sealing {
        text.push_str(&text_of_sealing(sealing));
    }
    let main = applied.first().map_or(0, |(_, applied)| *applied);
    let places: Vec<_> = applied
        .iter()
        .map(|(place, applied)| json!({"place": place, "applied": applied}))
        .collect();
    let document = json!({"ok": true, "applied": main, "sealed": sealed, "places": places});
    Output::new(named.json).result(text, &document)?;
    Ok(ExitCode::SUCCESS)
}

/// What is to change about seals: the keys that were named become all there are; the one that the configuration names
/// is one of them, because a migration that runs with each deployment must not end a change of keys.
fn sealing(named: &[String], config: Option<&Config>) -> Result<Option<Sealing>, Failure> {
    if named.is_empty() {
        let seal = match config {
            Some(config) => config.seal()?,
            None => Config::load(None, Config::environment().into_iter().filter(is_key))?.seal()?,
        };
        return Ok(seal.map(Sealing::Also));
    }
    let seal = |reference: &String| -> Result<Seal, Failure> {
        // Parsed here and not by the command line, which would repeat what is none: it may be the key.
        Ok(seal_at(&reference.parse()?, "--seal-key")?)
    };
    Ok(Some(Sealing::Only(named.iter().map(seal).collect::<Result<_, _>>()?)))
}

/// Whether this variable stands for the key in a configuration; others are of no concern here.
fn is_key((name, _): &(String, String)) -> bool {
    name == "TOLLGATE_DATABASE__SEAL_KEY"
}

fn text_of_sealing(sealing: &Sealing) -> String {
    match sealing {
        Sealing::Off => "\nClaims need no seal.".to_owned(),
        Sealing::Also(seal) => {
            format!("\nClaims must be sealed; the key {} is accepted.", seal.key_id())
        }
        Sealing::Only(seals) => {
            let ids: Vec<_> = seals.iter().map(Seal::key_id).collect();
            format!("\nClaims must be sealed, and no keys are accepted but {}.", ids.join(", "))
        }
    }
}

pub(super) async fn reconcile(named: Named) -> Result<ExitCode, Failure> {
    let (addresses, config) = connect::databases(&named)?;
    let operator = installation::operator(&addresses, config.as_ref()).await?;
    let books = operator.reconcile().await.map_err(DatabaseError::from)?;
    Output::new(named.json).result(text_of(&books), &json_of(&books))?;
    Ok(if books.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text_of(books: &Reconciliation) -> String {
    let Reconciliation { organizations, charged, holds_open, balance, broken, .. } = books;
    let mut text = format!(
        "{organizations} organizations. {} Charged so far: {charged} dollars. Open holds: {holds_open}.",
        text_of_balance(balance)
    );
    if books.expired > 0 {
        let unbilled = format!(
            "\n{} holds ran out of time without an end of their calls, which may have used {} dollars that were not billed, at the most.",
            books.expired, books.unbilled_max
        );
        text.push_str(&unbilled);
    }
    if broken.is_empty() {
        text.push_str("\nAll books are right.");
    }
    for one in broken {
        for finding in &one.broken {
            text.extend(["\nBROKEN ", &one.organization_id.to_string(), ": ", finding]);
        }
    }
    text
}

fn json_of(books: &Reconciliation) -> Value {
    let broken: Vec<_> = books
        .broken
        .iter()
        .map(|one| json!({"organization_id": one.organization_id, "findings": one.broken}))
        .collect();
    json!({
        "ok": broken.is_empty(),
        "organizations": books.organizations,
        "credits": json_of_balance(&books.balance),
        "charged": books.charged,
        "holds_open": books.holds_open,
        "expired": books.expired,
        "unbilled_max": books.unbilled_max,
        "broken": broken,
    })
}
