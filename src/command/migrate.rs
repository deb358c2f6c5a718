//! `tollgate migrate`: brings every place to this program's schema.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{
    Failure,
    operator::{Operator, databases},
    output::Output,
};
use crate::{
    gateway::{
        config::{Config, seal_at},
        installation::{self, MAIN},
    },
    postgres::{Seal, membership::Membership, sealing::Sealing},
};

#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    /// Where memberships are read from: tollgate or litellm. Default: as in --config, else unchanged
    #[arg(long, env = "TOLLGATE_DATABASE__MEMBERSHIP", value_name = "SOURCE")]
    pub(super) membership: Option<Membership>,
    /// Makes the database accept only claims that are sealed with the key at this reference, `env:NAME` or
    /// `file:/path`. Repeat it for each key in use. Without it, the key that --config names is accepted in addition to
    /// the others
    #[arg(long, value_name = "REFERENCE", conflicts_with = "unseal")]
    pub(super) seal_key: Vec<String>,
    /// Makes the database accept claims without a seal again
    #[arg(long)]
    pub(super) unseal: bool,
    #[command(flatten)]
    pub(super) operator: Operator,
}

pub(super) async fn run(args: MigrateArgs) -> Result<ExitCode, Failure> {
    let MigrateArgs { membership, seal_key, unseal, operator: named } = args;
    let (addresses, config) = databases(&named)?;
    let membership =
        membership.or_else(|| config.as_ref().map(|config| config.database.membership));
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
    // Null if sealing was not changed.
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

/// The change of sealing. Keys named on the command line replace all accepted keys. A key from the configuration is
/// only added, because a migration that runs with each deployment must not end a key rotation.
fn sealing(named: &[String], config: Option<&Config>) -> Result<Option<Sealing>, Failure> {
    if named.is_empty() {
        let seal = match config {
            Some(config) => config.seal()?,
            None => Config::load(None, Config::environment().into_iter().filter(is_key))?.seal()?,
        };
        return Ok(seal.map(Sealing::Also));
    }
    let seal = |reference: &String| -> Result<Seal, Failure> {
        // Parsed here and not by clap: clap's error would repeat an invalid reference, which may be the key itself.
        Ok(seal_at(&reference.parse()?, "--seal-key")?)
    };
    Ok(Some(Sealing::Only(named.iter().map(seal).collect::<Result<_, _>>()?)))
}

/// Whether this variable overrides the key for seals. No other variable is read for sealing.
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
            format!(
                "\nClaims must be sealed, and only these keys are accepted: {}.",
                ids.join(", ")
            )
        }
    }
}
