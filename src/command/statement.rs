//! `tollgate statement`: every movement of an organization's credits in a window, and a check of the sums.
//!
//! Lines are written as they are read, because a busy month does not fit into memory.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Args;
use serde_json::Value;

use super::{
    Failure,
    operator::{Operator, begin},
    output::{Table, cell, read_on},
};
use crate::{
    admin::statements::{self, Statement},
    domain::{
        credits::Credits,
        ids::OrganizationId,
        instant::{Moment, rfc3339_micros},
        statement::{Amounts, Line, Movements, Sums, Total},
        usage::Usage,
    },
    store::admin::{AccountAdmin, AccountWindow},
};

#[derive(Debug, Args)]
pub(super) struct StatementArgs {
    /// Which organization
    #[arg(long, value_name = "ID")]
    org: OrganizationId,
    /// The start of the window: a day in the organization's time zone, or a moment
    #[arg(long, value_name = "DATE")]
    from: Moment,
    /// The end of the window: the day after the last one, or a moment. Default: now
    #[arg(long, value_name = "DATE")]
    to: Option<Moment>,
    /// Also lists each hold and release. Default: only their sums
    #[arg(long)]
    all: bool,
    /// Writes a CSV table for other programs
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    #[command(flatten)]
    operator: Operator,
}

pub(super) async fn run(args: StatementArgs) -> Result<ExitCode, Failure> {
    let StatementArgs { org, from, to, all, csv, operator } = args;
    let (store, output) = begin(&operator).await?;
    let statement = statements::open(&store, org, &from, to.as_ref()).await?;
    if csv {
        write_csv(statement, all).await?;
    } else if operator.json {
        write_json(statement, all).await?;
    } else {
        let window = statement.window.clone();
        if let Some(sums) = walk(statement, |_| Ok(())).await? {
            output.result(text_of(&window, &sums), &Value::Null)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Passes each line of the statement to `each`, and returns the sums, which were checked against the window. `None` if
/// the reader of standard output has gone.
async fn walk(
    mut statement: Statement<'_, impl AccountAdmin>,
    mut each: impl FnMut(&Line) -> io::Result<()>,
) -> Result<Option<Sums>, Failure> {
    loop {
        let lines = statement.next().await?;
        if lines.is_empty() {
            return Ok(Some(statement.close()?));
        }
        for line in &lines {
            statement.add(line)?;
            if !read_on(each(line))? {
                return Ok(None);
            }
        }
    }
}

fn text_of(window: &AccountWindow, sums: &Sums) -> String {
    let AccountWindow { organization_id, name, time_zone, from_micros, until_micros, .. } = window;
    let mut lines = vec![
        format!("Statement of account: {name} ({organization_id})"),
        format!(
            "From {} to before {}, by the days of {time_zone}{}",
            rfc3339_micros(*from_micros),
            rfc3339_micros(*until_micros),
            if window.is_final { "" } else { "; not final, movements may be added" }
        ),
        format!("Opening: {}", text_of_amounts(window.opening)),
    ];
    for (kind, Movements { count, change }) in sums.kinds() {
        let Amounts { posted, held, debt } = change;
        lines.push(format!("  {count} × {kind}: {posted} posted, {held} held, {debt} owed"));
    }
    lines.push(format!("Closing: {}", text_of_amounts(window.closing)));
    for (scope, totals) in statements::totals(sums) {
        for (name, Total { calls, usage, cost }) in totals {
            let name = if name.is_empty() { "(not known)" } else { name };
            let (input, output) = (usage.input_total(), usage.output_total());
            lines.push(format!(
                "By {scope}: {name}: {calls} calls, {input} tokens in and {output} out, {cost} dollars"
            ));
        }
    }
    lines.join("\n")
}

fn text_of_amounts(Amounts { posted, held, debt }: Amounts) -> String {
    format!("{posted} dollars, {held} of them held, {debt} owed")
}

/// Writes one line of JSON: the window, its lines as they are read, then the sums. Amounts are nano-dollars.
async fn write_json(statement: Statement<'_, impl AccountAdmin>, all: bool) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout());
    let head = statements::head_document(&statement.window).to_string();
    let begun = write!(out, "{},\"lines\":[", head.strip_suffix('}').unwrap_or(&head));
    if !read_on(begun)? {
        return Ok(());
    }
    let mut first = true;
    let sums = walk(statement, |line| {
        if line.is_passing() && !all {
            return Ok(());
        }
        let comma = if std::mem::take(&mut first) { "" } else { "," };
        write!(out, "{comma}{}", statements::line_document(line))
    });
    let Some(sums) = sums.await? else { return Ok(()) };
    let tail = statements::tail_document(&sums).to_string();
    let ended = writeln!(out, "],{}", tail.strip_prefix('{').unwrap_or(&tail));
    read_on(ended.and_then(|()| out.flush())).map(drop)
}

/// The columns of the table. The first column names the kind of row: `opening`, `movement`, then `summary` for each
/// kind of movement, the totals of each `model`, `user` and `team`, and `closing`.
const HEADER: &[&str] = &[
    "line",
    "seq",
    "at",
    "day",
    "kind",
    "request_id",
    "reference",
    "user_id",
    "team_id",
    "model",
    "price_id",
    "markup_bps",
    "count",
    "input_tokens",
    "cached_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost",
    "posted",
    "held",
    "debt",
    "posted_after",
    "held_after",
    "debt_after",
];

/// One row. Columns that do not apply are empty. Amounts are exact decimals of dollars.
#[derive(Default)]
struct Row {
    line: &'static str,
    seq: String,
    at: String,
    day: String,
    kind: String,
    request_id: String,
    reference: String,
    user_id: String,
    team_id: String,
    model: String,
    price_id: String,
    markup_bps: String,
    count: String,
    usage: Option<Usage>,
    cost: Option<Credits>,
    change: Option<Amounts>,
    after: Option<Amounts>,
}

impl Row {
    fn of(line: &Line) -> Self {
        let used = line.used.as_ref();
        Self {
            line: "movement",
            seq: line.seq.to_string(),
            at: rfc3339_micros(line.at_micros),
            day: line.day.clone(),
            kind: line.kind.clone(),
            request_id: text(line.request_id),
            reference: cell(line.reference.as_deref().unwrap_or_default()),
            user_id: cell(line.user_id.as_deref().unwrap_or_default()),
            team_id: text(line.team_id),
            model: used.map(|used| cell(&used.model)).unwrap_or_default(),
            price_id: text(used.and_then(|used| used.price_id)),
            markup_bps: text(used.map(|used| used.markup_bps)),
            usage: used.map(|used| used.usage),
            cost: line.charge().filter(|_| !line.is_passing()),
            change: Some(line.change),
            after: Some(line.after),
            ..Self::default()
        }
    }

    fn total(scope: &'static str, name: &str, total: &Total) -> Self {
        let mut row = Self {
            line: scope,
            count: total.calls.to_string(),
            usage: Some(total.usage),
            cost: Some(total.cost),
            ..Self::default()
        };
        let place = match scope {
            "model" => &mut row.model,
            "user" => &mut row.user_id,
            _ => &mut row.team_id,
        };
        *place = cell(name);
        row
    }

    fn cells(self) -> Vec<String> {
        let tokens = |class: fn(Usage) -> u64| text(self.usage.map(class));
        let tokens = [
            tokens(|usage| usage.input),
            tokens(|usage| usage.cached_read),
            tokens(|usage| usage.cache_write_5m),
            tokens(|usage| usage.cache_write_1h),
            tokens(|usage| usage.output),
            tokens(|usage| usage.reasoning),
        ];
        let amounts = |amounts: Option<Amounts>| {
            [
                text(amounts.map(|amounts| amounts.posted)),
                text(amounts.map(|amounts| amounts.held)),
                text(amounts.map(|amounts| amounts.debt)),
            ]
        };
        let (cost, change, after) = (text(self.cost), amounts(self.change), amounts(self.after));
        let mut cells = vec![self.line.to_owned(), self.seq, self.at, self.day, self.kind];
        cells.extend([self.request_id, self.reference, self.user_id, self.team_id, self.model]);
        cells.extend([self.price_id, self.markup_bps, self.count]);
        cells.extend(tokens);
        cells.push(cost);
        cells.extend(change.into_iter().chain(after));
        cells
    }
}

fn text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

async fn write_csv(statement: Statement<'_, impl AccountAdmin>, all: bool) -> Result<(), Failure> {
    let window = statement.window.clone();
    let begin = || {
        let mut table = Table::new(HEADER)?;
        let opening = Row {
            line: "opening",
            seq: window.opening_seq.to_string(),
            at: rfc3339_micros(window.from_micros),
            after: Some(window.opening),
            ..Row::default()
        };
        table.row(&opening.cells())?;
        Ok(table)
    };
    let mut table: Table = match begin() {
        Ok(table) => table,
        Err(error) => return read_on(Err(error)).map(drop),
    };
    let sums = walk(statement, |line| {
        if line.is_passing() && !all { Ok(()) } else { table.row(&Row::of(line).cells()) }
    });
    let Some(sums) = sums.await? else { return Ok(()) };
    let end = || {
        for (kind, Movements { count, change }) in sums.kinds() {
            let summary = Row {
                line: "summary",
                kind: kind.clone(),
                count: count.to_string(),
                change: Some(*change),
                ..Row::default()
            };
            table.row(&summary.cells())?;
        }
        for (scope, totals) in statements::totals(&sums) {
            for (name, total) in totals {
                table.row(&Row::total(scope, name, total).cells())?;
            }
        }
        let closing = Row {
            line: "closing",
            seq: window.closing_seq.to_string(),
            at: rfc3339_micros(window.until_micros),
            after: Some(window.closing),
            ..Row::default()
        };
        table.row(&closing.cells())?;
        table.end()
    };
    read_on(end()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_every_column() {
        let total = Total::default();
        for row in [
            Row::default(),
            Row { line: "opening", after: Some(Amounts::default()), ..Row::default() },
            Row::total("model", "small", &total),
            Row::total("user", "ann", &total),
            Row::total("team", "", &total),
        ] {
            assert_eq!(row.cells().len(), HEADER.len());
        }
        let place = |name: &str| HEADER.iter().position(|column| *column == name).unwrap();
        // Texts that a spreadsheet takes for a formula, and texts that it does not.
        for (name, expected) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@sum(1)", "'@sum(1)"),
            ("ann=1", "ann=1"),
        ] {
            let cells = Row::total("user", name, &total).cells();
            assert_eq!(
                (cells[place("user_id")].as_str(), cells[place("cost")].as_str()),
                (expected, "0")
            );
        }
    }
}
