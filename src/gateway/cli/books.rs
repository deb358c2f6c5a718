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
        config::Config,
        database::{self, DatabaseError},
    },
    postgres::operator::Reconciliation,
};

pub(super) async fn migrate(args: MigrateArgs) -> Result<ExitCode, Failure> {
    let MigrateArgs { membership, operator: named } = args;
    let membership = match (membership, &named.config) {
        (None, Some(file)) => {
            let config = Config::load(Some(file), Config::environment())?;
            Some(config.database.membership.into())
        }
        (named, _) => named,
    };
    let applied = database::migrate(&connect::database_url(&named)?, membership).await?;
    let text = match applied {
        0 => "The schema is up to date.".to_owned(),
        some => format!("{some} migrations were applied. The schema is up to date."),
    };
    Output::new(named.json).result(text, &json!({"ok": true, "applied": applied}))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn reconcile(named: Named) -> Result<ExitCode, Failure> {
    let operator = database::operator(&connect::database_url(&named)?).await?;
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
