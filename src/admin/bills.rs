//! Recomputed bills.

use serde_json::{Map, Value, json};

use super::{organizations, problem::Problem};
use crate::{
    domain::{ids::OrganizationId, instant::rfc3339_micros},
    store::admin::{
        Bill, BillAdmin, Difference, OrganizationAdmin, OtherPrices, Rebill, RebillWindow,
    },
};

/// The bills of a window, and whether they were also computed by other prices.
#[derive(Debug)]
pub(crate) struct Rebilled {
    pub(crate) bills: Vec<Rebill>,
    pub(crate) compared: bool,
}

/// Recomputes the costs of calls, of one organization or of all.
pub(crate) async fn rebill(
    store: &(impl BillAdmin + OrganizationAdmin),
    organization: Option<OrganizationId>,
    window: &RebillWindow,
    other: &OtherPrices,
) -> Result<Rebilled, Problem> {
    let organizations = match organization {
        Some(id) => vec![id],
        None => organizations::ids(store).await?,
    };
    let mut bills = Vec::with_capacity(organizations.len());
    for id in organizations {
        let bill = store.rebill(id, window, other).await.map_err(Problem::of(id))?;
        let (from, until) = bill.window_micros;
        if from >= until {
            return Err(Problem::EmptyWindow);
        }
        bills.push(bill);
    }
    Ok(Rebilled { bills, compared: !matches!(other, OtherPrices::None) })
}

impl Rebilled {
    /// Whether the recomputed cost of every call equals its charge.
    pub(crate) fn holds(&self) -> bool {
        self.bills.iter().all(Rebill::holds)
    }

    pub(crate) fn document(&self) -> Value {
        let bills: Vec<_> = self.bills.iter().map(|bill| document(bill, self.compared)).collect();
        json!({"ok": self.holds(), "organizations": bills})
    }
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
