//! `tollgate prices rebill`.

use std::process::ExitCode;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::args::RebillArgs;
use crate::{
    command::{
        Failure,
        operator::{begin, refused},
        output::{Table, cell, read_on},
    },
    domain::{credits::Credits, ids::OrganizationId, instant::rfc3339_micros},
    gateway::DatabaseError,
    postgres::Operator,
    store::admin::{
        Bill, BillAdmin, Difference, OrganizationAdmin, OtherPrices, Rebill, RebillWindow,
    },
};

pub(super) async fn run(args: RebillArgs) -> Result<ExitCode, Failure> {
    let RebillArgs { org, all: _, from, to, at, csv, operator } = args;
    let window = RebillWindow { from, until: to };
    let other = OtherPrices::from(at);
    let (store, output) = begin(&operator).await?;
    let mut bills = Vec::new();
    for id in organizations(&store, org).await? {
        bills.push(rebill(&store, id, &window, &other).await?);
    }
    let compared = !matches!(other, OtherPrices::None);
    if csv {
        let table = || {
            let mut table = Table::new(HEADER)?;
            bills
                .iter()
                .flat_map(|bill| rows(bill, compared))
                .try_for_each(|row| table.row(&row))?;
            table.end()
        };
        read_on(table())?;
    } else {
        let texts: Vec<_> = bills.iter().map(|bill| text_of(bill, compared)).collect();
        let text = if texts.is_empty() {
            "There are no organizations.".to_owned()
        } else {
            texts.join("\n")
        };
        let documents: Vec<_> = bills.iter().map(|bill| document(bill, compared)).collect();
        let ok = bills.iter().all(Rebill::holds);
        output.result(text, &json!({"ok": ok, "organizations": documents}))?;
    }
    Ok(if bills.iter().all(Rebill::holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The one that is named, or all of them.
async fn organizations(
    store: &Operator,
    named: Option<OrganizationId>,
) -> Result<Vec<OrganizationId>, Failure> {
    if let Some(id) = named {
        return Ok(vec![id]);
    }
    let mut all = Vec::new();
    loop {
        let after = all.last().copied().unwrap_or(OrganizationId::new(Uuid::nil()));
        let page = store.organizations_after(after).await.map_err(DatabaseError::from)?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

async fn rebill(
    store: &Operator,
    id: OrganizationId,
    window: &RebillWindow,
    other: &OtherPrices,
) -> Result<Rebill, Failure> {
    let bill = store.rebill(id, window, other).await.map_err(|error| refused(id, error))?;
    let (from, until) = bill.window_micros;
    if from >= until {
        return Err(Failure::new("the window is empty: --to is the day after the last one"));
    }
    Ok(bill)
}

fn text_of(bill: &Rebill, compared: bool) -> String {
    let (from, until) = bill.window_micros;
    let Bill { calls, clamped, charged, recomputed, other, unpriced } = bill.total;
    let mut lines = vec![
        format!("{} ({})", bill.name, bill.organization_id),
        format!("  {calls} calls from {} to {}", rfc3339_micros(from), rfc3339_micros(until)),
        format!("  charged {charged} dollars; by the prices they name {recomputed}"),
    ];
    if clamped > 0 {
        lines
            .push(format!("  {clamped} of them had absurd figures and were charged what was held"));
    }
    if compared {
        lines.push(format!("  by the other prices {other} dollars"));
    }
    if unpriced > 0 {
        lines.push(format!("  without {unpriced} calls that have no other price"));
    }
    lines.extend(bill.differences.iter().map(|difference| {
        let Difference { request_id, cost, charged, recomputed } = difference;
        format!(
            "  DIFFERS {request_id}: written {cost}, charged {}, comes to {}",
            known(*charged),
            known(*recomputed)
        )
    }));
    if !bill.holds() {
        lines.push(format!("  {} calls differ", bill.differences_count));
    }
    lines.join("\n")
}

fn known(amount: Option<Credits>) -> String {
    amount.map_or_else(|| "nothing that is known".to_owned(), |amount| amount.to_string())
}

fn document(bill: &Rebill, compared: bool) -> Value {
    let (from, until) = bill.window_micros;
    let differences: Vec<Value> = bill
        .differences
        .iter()
        .map(|Difference { request_id, cost, charged, recomputed }| {
            json!({"request_id": request_id, "cost": cost, "charged": charged, "recomputed": recomputed})
        })
        .collect();
    let models = bill.models.iter().map(|(model, bill)| (model.clone(), figures(bill, compared)));
    json!({
        "organization_id": bill.organization_id,
        "name": bill.name,
        "from": rfc3339_micros(from),
        "until": rfc3339_micros(until),
        "total": figures(&bill.total, compared),
        "models": Value::Object(models.collect()),
        "differences_count": bill.differences_count,
        "differences": differences,
    })
}

fn figures(bill: &Bill, compared: bool) -> Value {
    let Bill { calls, clamped, charged, recomputed, other, unpriced } = bill;
    let mut figures = Map::new();
    figures.insert("calls".to_owned(), json!(calls));
    figures.insert("clamped".to_owned(), json!(clamped));
    figures.insert("charged".to_owned(), json!(charged));
    figures.insert("recomputed".to_owned(), json!(recomputed));
    if compared {
        figures.insert("other".to_owned(), json!(other));
        figures.insert("unpriced".to_owned(), json!(unpriced));
    }
    Value::Object(figures)
}

const HEADER: &[&str] = &[
    "line",
    "organization_id",
    "from",
    "until",
    "model",
    "request_id",
    "calls",
    "clamped",
    "charged",
    "recomputed",
    "other",
    "unpriced",
];

/// One row a model, one for all of them, and one for each call that differs.
fn rows(bill: &Rebill, compared: bool) -> Vec<Vec<String>> {
    let (from, until) = bill.window_micros;
    let begin = |line: &str| {
        vec![
            line.to_owned(),
            bill.organization_id.to_string(),
            rfc3339_micros(from),
            rfc3339_micros(until),
        ]
    };
    let figures = |line: &str, model: &str, bill: &Bill| {
        let mut row = begin(line);
        row.extend([cell(model), String::new(), bill.calls.to_string(), bill.clamped.to_string()]);
        row.extend([bill.charged, bill.recomputed].map(|amount| amount.to_string()));
        let other = [bill.other.to_string(), bill.unpriced.to_string()];
        row.extend(if compared { other } else { <[String; 2]>::default() });
        row
    };
    let mut rows: Vec<_> =
        bill.models.iter().map(|(model, bill)| figures("model", model, bill)).collect();
    rows.push(figures("total", "", &bill.total));
    rows.extend(bill.differences.iter().map(|difference| {
        let mut row = begin("difference");
        let amount =
            |amount: Option<Credits>| amount.map_or_else(String::new, |amount| amount.to_string());
        row.extend([
            String::new(),
            difference.request_id.to_string(),
            String::new(),
            String::new(),
        ]);
        row.extend([amount(difference.charged), amount(difference.recomputed)]);
        row.extend(<[String; 2]>::default());
        row
    }));
    rows
}
