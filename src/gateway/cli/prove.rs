//! `tollgate prove`: can one organization reach another here?

use std::process::ExitCode;

use serde_json::json;

use super::{Failure, args::ProveArgs, connect, output::Output};
use crate::{gateway::database, postgres::prove::Scope};

pub(super) async fn run(args: ProveArgs) -> Result<ExitCode, Failure> {
    let scope = if args.read_only { Scope::ReadOnly } else { Scope::Full };
    let (url, config) = connect::database(&args.operator)?;
    let proof = database::prove(&url, config.as_ref(), scope).await?;
    let mut value = serde_json::to_value(&proof)?;
    if let Some(fields) = value.as_object_mut() {
        fields.insert("ok".to_owned(), json!(proof.holds()));
    }
    Output::new(args.operator.json).result(&proof, &value)?;
    Ok(if proof.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
