//! Statements of account: every movement of an organization's credits in a window, and a check of the sums.
//!
//! A busy month does not fit into memory, so lines are read and passed on a page at a time.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::problem::Problem;
use crate::{
    domain::{
        ids::OrganizationId,
        instant::{Moment, rfc3339_micros},
        statement::{Amounts, Line, Movements, Sums, Total},
    },
    store::admin::{AccountAdmin, AccountWindow},
};

/// A statement that is being read.
#[derive(Debug)]
pub(crate) struct Statement<'a, S> {
    store: &'a S,
    pub(crate) window: AccountWindow,
    sums: Sums,
    after: i64,
}

/// Opens the statement of a window. Without an end, the window ends now.
pub(crate) async fn open<'a, S: AccountAdmin>(
    store: &'a S,
    id: OrganizationId,
    from: &Moment,
    until: Option<&Moment>,
) -> Result<Statement<'a, S>, Problem> {
    let window = store.account_window(id, from, until).await.map_err(Problem::of(id))?;
    if window.from_micros >= window.until_micros {
        return Err(Problem::EmptyWindow);
    }
    let sums = Sums::opening(window.opening_seq, window.opening);
    Ok(Statement { store, after: window.opening_seq, window, sums })
}

impl<S: AccountAdmin> Statement<'_, S> {
    /// The next lines; none after the last. Call [`add`](Self::add) with each line before you call `next` again.
    pub(crate) async fn next(&mut self) -> Result<Vec<Line>, Problem> {
        Ok(self.store.account_lines(&self.window, self.after).await?)
    }

    /// Adds a line to the sums. Lines must be added in order.
    pub(crate) fn add(&mut self, line: &Line) -> Result<(), Problem> {
        self.sums.add(line).map_err(Problem::DoesNotAddUp)?;
        self.after = line.seq;
        Ok(())
    }

    /// The sums of the lines, checked against the window. To be called after the last line.
    pub(crate) fn close(self) -> Result<Sums, Problem> {
        let Self { sums, window, .. } = self;
        sums.close(window.closing_seq, window.closing).map_err(Problem::DoesNotAddUp)?;
        Ok(sums)
    }
}

/// The totals of a statement: the name of each kind of total, and the totals by name.
pub(crate) fn totals(sums: &Sums) -> [(&'static str, &BTreeMap<String, Total>); 3] {
    [("model", sums.models()), ("user", sums.users()), ("team", sums.teams())]
}

/// The part of a document before its lines. Amounts are nano-dollars.
pub(crate) fn head_document(window: &AccountWindow) -> Value {
    json!({
        "organization_id": window.organization_id,
        "name": window.name,
        "time_zone": window.time_zone,
        "from": rfc3339_micros(window.from_micros),
        "until": rfc3339_micros(window.until_micros),
        "final": window.is_final,
        "opening": amounts(window.opening),
        "closing": amounts(window.closing),
    })
}

/// The document of one line.
pub(crate) fn line_document(line: &Line) -> Value {
    let used = line.used.as_ref();
    json!({
        "seq": line.seq,
        "at": rfc3339_micros(line.at_micros),
        "day": line.day,
        "kind": line.kind,
        "request_id": line.request_id,
        "reference": line.reference,
        "change": amounts(line.change),
        "after": amounts(line.after),
        "user_id": line.user_id,
        "team_id": line.team_id,
        "model": used.map(|used| &used.model),
        "price_id": used.and_then(|used| used.price_id),
        "markup_bps": used.map(|used| used.markup_bps),
        "usage": used.map(|used| used.usage),
    })
}

/// The part of a document after its lines: the sums.
pub(crate) fn tail_document(sums: &Sums) -> Value {
    let movements = sums.kinds().iter().map(|(kind, Movements { count, change })| {
        let mut movements = amounts(*change);
        if let Some(fields) = movements.as_object_mut() {
            fields.insert("count".to_owned(), json!(count));
        }
        (kind.clone(), movements)
    });
    let mut tail = json!({"movements": movements.collect::<Map<_, _>>()});
    for (scope, totals) in totals(sums) {
        let totals: Vec<Value> = totals
            .iter()
            .map(|(name, Total { calls, usage, cost })| {
                // An empty name stands for an unknown one, which is null in the document.
                let name = Some(name).filter(|name| !name.is_empty());
                json!({scope: name, "calls": calls, "usage": usage, "cost": cost})
            })
            .collect();
        if let Some(fields) = tail.as_object_mut() {
            fields.insert(format!("{scope}s"), Value::Array(totals));
        }
    }
    tail
}

fn amounts(Amounts { posted, held, debt }: Amounts) -> Value {
    json!({"posted": posted, "held": held, "debt": debt})
}
