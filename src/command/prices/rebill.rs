//! `tollgate prices rebill`.

use std::process::ExitCode;

use super::args::RebillArgs;
use crate::{
    admin::bills,
    command::{
        Failure,
        operator::begin,
        output::{Table, cell, read_on},
    },
    domain::{credits::Credits, instant::rfc3339_micros},
    store::admin::{Bill, Difference, OtherPrices, Rebill, RebillWindow},
};

pub(super) async fn run(args: RebillArgs) -> Result<ExitCode, Failure> {
    let RebillArgs { org, all: _, from, to, at, csv, operator } = args;
    let window = RebillWindow { from, until: to };
    let other = OtherPrices::from(at);
    let (store, output) = begin(&operator).await?;
    let rebilled = bills::rebill(&store, org, &window, &other).await?;
    let (bills, compared) = (&rebilled.bills, rebilled.compared);
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
        output.result(text, &rebilled.document())?;
    }
    Ok(if rebilled.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
    amount.map_or_else(|| "an unknown amount".to_owned(), |amount| amount.to_string())
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

/// One row for each model, one for the total, and one for each call that differs.
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
