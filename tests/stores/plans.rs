//! Query plans under row-level security: the policies' helper functions run once a statement, and the organization they
//! return is an index condition. Covers every table of the catalog, and every role that may read it.

use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::catalog::{Canaries, ROLES, planted};

async fn plan(client: &Client, sql: &str) -> Value {
    let answers = client.simple_query(&format!("explain (format json) {sql}")).await.unwrap();
    let text: String = answers
        .iter()
        .filter_map(
            |answer| if let SimpleQueryMessage::Row(row) = answer { row.get(0) } else { None },
        )
        .collect();
    serde_json::from_str::<Value>(&text).unwrap()[0]["Plan"].clone()
}

/// The nodes that run for the rows; what an initplan has in it runs once.
fn per_row<'a>(node: &'a Value, found: &mut Vec<&'a Value>) {
    found.push(node);
    for child in node["Plans"].as_array().into_iter().flatten() {
        if child["Parent Relationship"] != "InitPlan" {
            per_row(child, found);
        }
    }
}

/// The conditions of a node, other than which index it takes.
fn conditions(node: &Value) -> String {
    let fields = node.as_object().unwrap().iter();
    let conditions = fields.filter(|(name, _)| name.ends_with("Cond") || name.ends_with("Filter"));
    conditions
        .map(|(_, condition)| condition.as_str().unwrap_or_default())
        .collect::<Vec<_>>()
        .join(" and ")
}

async fn plans_of(canaries: &Canaries, table: &str, role: &str) -> Vec<(String, Value)> {
    let mut plans = Vec::new();
    for (verb, sql) in [
        ("select", format!("select organization_id from tollgate.{table}")),
        ("update", format!("update tollgate.{table} set {{column}} = {{column}}")),
        ("delete", format!("delete from tollgate.{table}")),
    ] {
        let may = if verb == "delete" {
            // No one deletes by columns.
            let right = format!(
                "select has_table_privilege('tollgate_{role}', 'tollgate.{table}', 'delete')"
            );
            canaries.client.query_one(&right, &[]).await.unwrap().get(0)
        } else {
            !canaries.columns(table, role, verb).await.is_empty()
        };
        if !may {
            continue;
        }
        let columns = canaries.columns(table, role, "update").await;
        let column = columns.last().map_or("", String::as_str);
        let sql = sql.replace("{column}", column);
        canaries.act(role, role).await;
        // A table of two rows is read whole otherwise, whatever its indexes.
        canaries.client.batch_execute("set local enable_seqscan = off").await.unwrap();
        plans.push((sql.clone(), plan(&canaries.client, &sql).await));
        canaries.leave().await;
    }
    plans
}

/// What is wrong with the plans of these tables, and how many were looked at.
async fn faults(canaries: &Canaries, tables: &[String]) -> (Vec<String>, usize) {
    let (mut faults, mut seen) = (Vec::new(), 0);
    for role in ROLES {
        for table in tables {
            for (sql, plan) in plans_of(canaries, table, role).await {
                seen += 1;
                let mut nodes = Vec::new();
                per_row(&plan, &mut nodes);
                for node in nodes {
                    let conditions = conditions(node);
                    let helpers =
                        ["tollgate.", "current_", "get_org_role", "is_", "jwt", "SubPlan"];
                    if helpers.iter().any(|helper| conditions.contains(helper)) {
                        faults.push(format!("{role}: {sql}: for each row {conditions}"));
                    }
                    // The operator's staff looks at all organizations; nobody else does.
                    let kind = node["Node Type"].as_str().unwrap();
                    let scan = kind.contains("Scan") && kind != "Bitmap Heap Scan";
                    let by = node["Index Cond"].as_str().unwrap_or_default();
                    if scan && role != "platform" && !by.contains("organization_id = ") {
                        faults.push(format!("{role}: {sql}: {kind} by {by:?}"));
                    }
                }
            }
        }
    }
    (faults, seen)
}

#[tokio::test]
async fn no_policy_calls_a_function_for_each_row_and_the_organization_is_an_index_condition() {
    let canaries = planted().await;
    let (faults, seen) = faults(&canaries, &canaries.tables).await;
    assert_eq!(faults, Vec::<String>::new());
    assert!(seen > 150, "{seen}");
}

#[tokio::test]
async fn a_policy_that_calls_a_function_for_each_row_is_found() {
    let canaries = planted().await;
    let slow = "alter policy settings_select_viewer on tollgate.settings using (tollgate.is_org_member(organization_id))";
    canaries.client.batch_execute(slow).await.unwrap();
    let (faults, _) = faults(&canaries, &["settings".to_owned()]).await;
    assert!(
        !faults.is_empty() && faults.iter().all(|fault| fault.starts_with("viewer: select")),
        "{faults:?}"
    );
}
