//! `tollgate prove`: proves that no organization can reach another.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::{
    Failure,
    operator::{Operator, databases},
    output::Output,
};
use crate::{
    gateway::installation,
    postgres::prove::{Extent, Proof},
};

#[derive(Debug, Args)]
pub(super) struct ProveArgs {
    /// For production: checks the catalog, reads as every role, and writes nothing
    #[arg(long)]
    read_only: bool,
    #[command(flatten)]
    operator: Operator,
}

pub(super) async fn run(args: ProveArgs) -> Result<ExitCode, Failure> {
    let extent = if args.read_only { Extent::ReadOnly } else { Extent::Full };
    let (addresses, config) = databases(&args.operator)?;
    let proofs = installation::prove(&addresses, config.as_ref(), extent).await?;
    let holds = proofs.iter().all(|(_, proof)| proof.holds());
    Output::new(args.operator.json).result(text_of(&proofs), &json_of(&proofs)?)?;
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The text for people. If there are further places, the name of each place comes first.
fn text_of(proofs: &[(String, Proof)]) -> String {
    match proofs {
        [(_, only)] => only.to_string(),
        all => {
            let texts: Vec<_> =
                all.iter().map(|(place, proof)| format!("{place}\n\n{proof}")).collect();
            texts.join("\n\n")
        }
    }
}

/// The document for machines: the main database's figures at the top, as if it were the only place, the findings of all
/// places, and each place on its own.
fn json_of(proofs: &[(String, Proof)]) -> Result<Value, Failure> {
    let mut document = Value::Null;
    let (mut places, mut findings, mut holds) = (Vec::new(), Vec::new(), true);
    for (place, proof) in proofs {
        let mut value = serde_json::to_value(proof)?;
        if let Some(fields) = value.as_object_mut() {
            fields.insert("place".to_owned(), json!(place));
            fields.insert("ok".to_owned(), json!(proof.holds()));
        }
        for finding in &proof.findings {
            let mut finding = serde_json::to_value(finding)?;
            if let Some(fields) = finding.as_object_mut() {
                fields.insert("place".to_owned(), json!(place));
            }
            findings.push(finding);
        }
        holds &= proof.holds();
        if document.is_null() {
            document = value.clone();
        }
        places.push(value);
    }
    if let Some(fields) = document.as_object_mut() {
        fields.remove("place");
        fields.insert("ok".to_owned(), json!(holds));
        fields.insert("findings".to_owned(), Value::Array(findings));
        fields.insert("places".to_owned(), Value::Array(places));
    }
    Ok(document)
}
