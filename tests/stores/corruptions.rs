//! Books with every kind of call, each way to corrupt them, and the exact findings that must follow.
//!
//! Shared with the suite that tests the command and the metrics.

use std::{sync::Arc, time::Duration};

use tokio_postgres::Client;
use tollgate::{
    Tenant,
    domain::{
        credits::Credits,
        endpoint::Endpoint,
        finish::{Ending, Finish, Settlement},
        hold::{Heartbeat, HoldRequest, HoldVerdict, Window},
        ids::{KeyId, OrganizationId, PriceId, RequestId, TeamId},
        scope::Scope,
        usage::Usage,
    },
    postgres::Operator,
    store::{
        Journal, Ledger,
        admin::{BudgetAdmin, Budgeted, CapChange, CreditAdmin},
    },
};
use uuid::Uuid;

/// Whatever the books of an organization are made of, parents first.
const TABLES: [&str; 6] =
    ["organizations", "credit_balances", "credit_holds", "credit_ledger", "budget_usage", "usage"];
/// A nano-dollar for each token of input.
const PRICE: &str = "
    insert into tollgate.prices (price_id, model, provider, mode, per_request, source)
      values ('00000000-0000-0000-0000-000000000000', 'small', 'mock', 'chat', 0, '{}') on conflict do nothing;
    insert into tollgate.price_tiers
      select price_id, 0, 1000000, 0, 0, 0, 0, 0, effective_from from tollgate.prices
        where price_id = '00000000-0000-0000-0000-000000000000'
      on conflict do nothing";
/// Where it is noon, about: no window ends while a test runs.
const NOON: &str = "
    select 'Etc/GMT' || case when h < 12 then '-' || 12 - h when h > 12 then '+' || h - 12 else '' end
      from (select extract(hour from now() at time zone 'UTC')::integer as h) as utc";

/// The books of one organization.
///
/// 1000 were granted. One call was held for by 100 and cost 60, one by 50 and was given back, one by 30 and expired
/// after 7 were heard of. One was held for by 20 and cost 1000: all that was free was taken, and 107 are owed. One with
/// 40 goes on. Each of the eight windows has a budget, and each call counts in all of them.
pub(crate) struct Model {
    pub(crate) organization: OrganizationId,
    /// What stands for what in [`Corruption`].
    names: Vec<(&'static str, String)>,
}

struct Writer<'a, S> {
    store: &'a S,
    tenant: Tenant,
}

impl<S: Ledger + Journal> Writer<'_, S> {
    async fn hold(&self, nanos: i64, tokens: i64, ttl: Duration) -> RequestId {
        let request_id = RequestId::generate();
        let hold = HoldRequest { request_id, amount: Credits::from_nanos(nanos), tokens, ttl };
        assert_eq!(self.store.hold(&self.tenant, hold).await.unwrap(), HoldVerdict::Granted);
        request_id
    }

    async fn finish(&self, request_id: RequestId, nanos: i64, tokens: i64, release: bool) {
        let finish = Finish {
            request_id,
            client_request_id: None,
            endpoint: Endpoint::ChatCompletions,
            model: "small".into(),
            answered_by: None,
            provider: Some("mock".into()),
            stream: false,
            ending: if release { Ending::Failed } else { Ending::Complete },
            status: if release { 502 } else { 200 },
            usage: Usage { input: nanos.try_into().unwrap(), ..Usage::default() },
            estimated: false,
            clamped: false,
            settlement: Some(Settlement {
                amount: Credits::from_nanos(nanos),
                tokens,
                price_id: PriceId::new(Uuid::nil()),
                markup_bps: 0,
                release,
            }),
            latency: Duration::from_millis(20),
            first_byte: None,
            record: None,
        };
        self.store.finish(&self.tenant, &Arc::new(finish)).await.unwrap();
    }
}

impl Model {
    /// Writes it as the product does.
    pub(crate) async fn written<S: Ledger + Journal>(
        store: &S,
        operator: &Operator,
        admin: &Client,
    ) -> Self {
        admin.batch_execute(PRICE).await.unwrap();
        let zone: String = admin.query_one(NOON, &[]).await.unwrap().get(0);
        let organization = OrganizationId::new(Uuid::now_v7());
        assert!(operator.create_organization(organization, "Model", &zone).await.unwrap());
        operator.grant_credits(organization, Credits::from_nanos(1_000), None).await.unwrap();
        let (team, key) = (Uuid::new_v4(), Uuid::new_v4());
        for (scope, scope_id) in scopes(&team.to_string(), &key.to_string()) {
            for window in [Window::Day, Window::Month] {
                let budgeted = Budgeted { scope, scope_id: &scope_id, window };
                let tokens = CapChange::To(1_000_000);
                let credits = CapChange::To(1_000_000);
                operator.set_budget(organization, budgeted, tokens, credits).await.unwrap();
            }
        }
        let tenant = Tenant::new(organization, "ann");
        let tenant = tenant.with_team(TeamId::new(team)).with_key(KeyId::new(key));
        let writer = Writer { store, tenant };
        let long = Duration::from_hours(10);
        let settled = writer.hold(100, 10, long).await;
        writer.finish(settled, 60, 8, false).await;
        let released = writer.hold(50, 5, long).await;
        writer.finish(released, 0, 0, true).await;
        let expired = writer.hold(30, 3, Duration::ZERO).await;
        let heard = Heartbeat { request_id: expired, used: Credits::from_nanos(7), tokens: 2 };
        store.renew(organization, &[heard], Duration::ZERO).await.unwrap();
        // Before anybody is held for where there are budgets, what is overdue expires.
        let owed = writer.hold(20, 2, long).await;
        let open = writer.hold(40, 4, long).await;
        writer.finish(owed, 1_000, 6, false).await;

        let start = "select min(window_start)::text from tollgate.budget_usage
            where organization_id = $1 and window_kind = $2";
        let start = async |kind: &str| -> String {
            admin.query_one(start, &[&organization.as_uuid(), &kind]).await.unwrap().get(0)
        };
        let names = vec![
            (":settled", settled.to_string()),
            (":released", released.to_string()),
            (":owed", owed.to_string()),
            (":open", open.to_string()),
            (":team", team.to_string()),
            (":access", key.to_string()),
            (":stranger", Uuid::new_v4().to_string()),
            (":day", start("day").await),
            (":month", start("month").await),
        ];
        Self { organization, names }
    }

    fn fill(&self, organization: OrganizationId, text: &str) -> String {
        let text = text.replace(":org", &organization.to_string());
        self.names.iter().fold(text, |text, (name, value)| text.replace(name, value))
    }

    /// What makes the books of this organization wrong: this one's, or a copy's.
    pub(crate) fn sql(&self, organization: OrganizationId, corruption: &Corruption) -> String {
        self.fill(organization, &corruption.sql)
    }

    /// What is then found, in order.
    pub(crate) fn findings(&self, corruption: &Corruption) -> Vec<String> {
        let texts = corruption.findings.iter();
        let mut found: Vec<_> = texts.map(|text| self.fill(self.organization, text)).collect();
        found.sort();
        found
    }

    /// Gives another organization the same books, whatever it had; one that is not there is made.
    pub(crate) fn copied(&self, to: OrganizationId) -> String {
        let own = ["price_overrides"].into_iter().chain(TABLES.into_iter().skip(1).rev());
        let mut sql: Vec<_> = own
            .map(|table| format!("delete from tollgate.{table} where organization_id = '{to}'"))
            .collect();
        sql.extend(TABLES.map(|table| {
            format!(
                "insert into tollgate.{table}
                   select (jsonb_populate_record(null::tollgate.{table}, to_jsonb(t) || '{{\"organization_id\": \"{to}\"}}')).*
                     from tollgate.{table} t where organization_id = '{}' {}",
                self.organization,
                if table == "organizations" { "on conflict do nothing" } else { "" }
            )
        }));
        sql.join(";\n")
    }
}

fn scopes(team: &str, key: &str) -> [(Scope, String); 4] {
    Scope::ALL.map(|scope| {
        let id = match scope {
            Scope::Organization => "",
            Scope::Team => team,
            Scope::User => "ann",
            Scope::Key => key,
        };
        (scope, id.to_owned())
    })
}

/// One way in which books can be wrong.
pub(crate) struct Corruption {
    /// Constraints that would refuse it.
    pub(crate) in_the_way: &'static [&'static str],
    /// Of one more of the eight windows: there is one like it before.
    pub(crate) is_of_a_further_window: bool,
    sql: String,
    findings: Vec<String>,
}

impl Corruption {
    /// How much is found.
    pub(crate) fn count(&self) -> usize {
        self.findings.len()
    }
}

fn by(
    in_the_way: &'static [&'static str],
    sql: impl Into<String>,
    findings: &[&str],
) -> Corruption {
    let findings = findings.iter().map(|&finding| finding.into()).collect();
    Corruption { in_the_way, is_of_a_further_window: false, sql: sql.into(), findings }
}

/// Moves the balance, without a movement.
fn balance(posted: i64, held: i64, debt: i64) -> String {
    format!(
        "update tollgate.credit_balances set posted = posted + {posted}, held = held + {held}, debt = debt + {debt}
           where organization_id = ':org';"
    )
}

/// A movement of no call, which no balance follows.
fn movement(posted: i64, held: i64, debt: i64) -> String {
    format!(
        "update tollgate.credit_balances set seq = seq + 1 where organization_id = ':org';
         insert into tollgate.credit_ledger (organization_id, seq, kind, d_posted, d_held, d_debt, posted_after, held_after, debt_after)
           select organization_id, seq, 'grant', {posted}, {held}, {debt}, posted + {posted}, held + {held}, debt + {debt}
             from tollgate.credit_balances where organization_id = ':org';"
    )
}

fn update(table: &str, change: &str, rows: &str) -> String {
    format!("update tollgate.{table} set {change} where organization_id = ':org' and ({rows});")
}

fn delete(table: &str, rows: &str) -> String {
    format!("delete from tollgate.{table} where organization_id = ':org' and ({rows});")
}

fn of(request: &str) -> String {
    format!("request_id = '{request}'")
}

/// Everything that can be wrong, each at least once.
pub(crate) fn corruptions() -> Vec<Corruption> {
    let all = [balances(), ledger(), holds(), budgets(), usages(), prices()];
    all.into_iter().flatten().collect()
}

const KIND: &str = "credit_ledger_kind";
const AFTER: &str = "credit_ledger_check";

fn balances() -> Vec<Corruption> {
    vec![
        by(&[], delete("credit_balances", "true"), &["balance is missing"]),
        by(
            &[AFTER, KIND, "credit_balances_check"],
            movement(-1, 0, 0) + &balance(-1, 0, 0),
            &["bounds: posted 39 >= held 40 >= 0, debt 107 >= 0"],
        ),
        // No hold can come to less than nothing.
        by(
            &[AFTER, KIND, "credit_balances_held_check"],
            movement(0, -41, 0) + &balance(0, -41, 0),
            &["bounds: posted 40 >= held -1 >= 0, debt 107 >= 0", "held -1, open holds come to 40"],
        ),
        by(
            &[AFTER, "credit_balances_debt_check"],
            movement(0, 0, -108) + &balance(0, 0, -108),
            &["bounds: posted 40 >= held 40 >= 0, debt -1 >= 0"],
        ),
        by(&[], balance(1, 0, 0), &["posted 41, ledger says 40"]),
        by(&[], movement(1, 0, 0), &["posted 40, ledger says 41"]),
        by(&[KIND], movement(0, -1, 0), &["held 40, ledger says 39"]),
        by(&[], balance(0, 0, 1), &["debt 108, ledger says 107"]),
        by(&[KIND], movement(0, -1, 0) + &balance(0, -1, 0), &["held 39, open holds come to 40"]),
    ]
}

fn ledger() -> Vec<Corruption> {
    let after = |column: &str, seq: i64| {
        let found = format!("ledger {seq}: the balance after it is not the sum before it");
        let sql =
            update("credit_ledger", &format!("{column} = {column} + 1"), &format!("seq = {seq}"));
        by(&[], sql, &[&found])
    };
    let gap = update("credit_ledger", "seq = 11", "seq = 10");
    vec![
        by(
            &[],
            update("credit_balances", "seq = 11", "true"),
            &["seq 11, ledger has 10 movements up to 10"],
        ),
        by(&[], gap.clone(), &["seq 10, ledger has 10 movements up to 11"]),
        by(
            &[],
            gap + &update("credit_balances", "seq = 11", "true"),
            &["seq 11, ledger has 10 movements up to 11"],
        ),
        after("posted_after", 2),
        after("held_after", 3),
        after("debt_after", 10),
        // What costs nothing and moved nothing lacks nothing else.
        by(
            &[],
            delete("credit_holds", &of(":released")),
            &["ledger names :released, which has no hold"],
        ),
        // A hold and a usage of which the ledger knows nothing.
        by(
            &[],
            update("credit_ledger", "request_id = null", &of(":settled")),
            &[
                "hold :settled: charged 60 and owed 0, ledger says 0 and 0",
                "usage :settled costs 60, ledger took 0 and is owed 0",
            ],
        ),
    ]
}

fn holds() -> Vec<Corruption> {
    const REFUND: &[&str] = &["credit_holds_check", "credit_holds_check1"];
    let refund = |request: &str, refund: i64| {
        update("credit_holds", &format!("refund = {refund}"), &of(request))
    };
    vec![
        by(&[], refund(":settled", 39), &["hold :settled: refund 39 of 100"]),
        by(REFUND, refund(":open", -1), &["hold :open: refund -1 of 40"]),
        by(REFUND, refund(":open", 41), &["hold :open: refund 41 of 40"]),
        by(
            &[],
            update("credit_holds", "charged = 59, debt = 1, refund = 41", &of(":settled")),
            &["hold :settled: charged 59 and owed 1, ledger says 60 and 0"],
        ),
        by(
            &[],
            update("credit_holds", "charged = 894, debt = 106", &of(":owed")),
            &["hold :owed: charged 894 and owed 106, ledger says 893 and 107"],
        ),
        // It ended everywhere but in the ledger's movements of it.
        by(
            &[KIND],
            update("credit_holds", "status = 'expired', refund = 40", &of(":open"))
                + &update(
                    "budget_usage",
                    "held = held - 4, credits_held = credits_held - 40",
                    "true",
                )
                + &movement(0, -40, 0)
                + &balance(0, -40, 0),
            &["hold :open is expired, ledger holds 40 for it"],
        ),
        by(
            &[KIND],
            update("credit_holds", "amount = 39", &of(":open"))
                + &update("budget_usage", "credits_held = credits_held - 1", "true")
                + &movement(0, -1, 0)
                + &balance(0, -1, 0),
            &["hold :open is open, ledger holds 40 for it"],
        ),
    ]
}

/// In each window, of each scope.
fn budgets() -> Vec<Corruption> {
    let mut all = Vec::new();
    for (scope, id) in scopes(":team", ":access") {
        for kind in ["day", "month"] {
            let rows = format!("scope = '{scope}' and window_kind = '{kind}'");
            let more = |column: &str, finding: &str| {
                let sql = update("budget_usage", &format!("{column} = {column} + 1"), &rows);
                by(&[], sql, &[&format!("budget of {scope} {id}, {kind} from :{kind}: {finding}")])
            };
            all.push(more("held", "holds 5 tokens and 40 credits, open holds come to 4 and 40"));
            all.push(more(
                "credits_held",
                "holds 4 tokens and 41 credits, open holds come to 4 and 40",
            ));
            all.push(more(
                "used",
                "17 tokens and 1067 credits used, its calls come to 16 and 1067",
            ));
            all.push(more(
                "credits_used",
                "16 tokens and 1068 credits used, its calls come to 16 and 1067",
            ));
            let gone =
                format!("hold :open is held in budget {kind} of {scope} {id}, which has no row");
            all.push(by(&[], delete("budget_usage", &rows), &[&gone]));
        }
    }
    let first = all.len() / 8;
    all.iter_mut().skip(first).for_each(|one| one.is_of_a_further_window = true);
    // A window in which there was no call.
    all.push(by(
        &[],
        "insert into tollgate.budget_usage (organization_id, scope, scope_id, window_kind, window_start, used, credits_held)
           values (':org', 'team', ':stranger', 'day', ':day', 1, 2)",
        &[
            "budget of team :stranger, day from :day: 1 tokens and 0 credits used, its calls come to 0 and 0",
            "budget of team :stranger, day from :day: holds 0 tokens and 2 credits, open holds come to 0 and 0",
        ],
    ));
    all
}

fn usages() -> Vec<Corruption> {
    let twice = |request: &str| {
        format!(
            "insert into tollgate.usage
               select (jsonb_populate_record(null::tollgate.usage, to_jsonb(u) || jsonb_build_object(
                   'arrived_at', u.arrived_at + interval '1 millisecond', 'cost', 0, 'price_id', null))).*
                 from tollgate.usage u where organization_id = ':org' and {};",
            of(request)
        )
    };
    // Usage and price agree on it, the ledger does not.
    let costs = |request: &str, cost: i64| {
        update("usage", &format!("cost = {cost}, input_tokens = {cost}"), &of(request))
    };
    let heard = |used: i64| update("credit_holds", &format!("used = {used}"), &of(":settled"));
    vec![
        by(
            &[],
            delete("usage", &of(":settled")),
            &["hold :settled is settled and has 0 usage rows"],
        ),
        by(
            &[],
            delete("usage", &of(":released")),
            &["hold :released is released and has 0 usage rows"],
        ),
        by(&[], twice(":settled"), &["hold :settled is settled and has 2 usage rows"]),
        by(&[], twice(":released"), &["hold :released is released and has 2 usage rows"]),
        by(&[], costs(":settled", 61), &["usage :settled costs 61, ledger took 60 and is owed 0"]),
        by(&[], costs(":owed", 999), &["usage :owed costs 999, ledger took 893 and is owed 107"]),
        // A heartbeat that was charged is not paid back: only one of more than the call cost explains it.
        by(&[], costs(":settled", 59) + &heard(60), &[]),
        by(
            &[],
            costs(":settled", 59) + &heard(59),
            &["usage :settled costs 59, ledger took 60 and is owed 0"],
        ),
    ]
}

fn prices() -> Vec<Corruption> {
    let priced =
        |change: &str, finding: &str| by(&[], update("usage", change, &of(":settled")), &[finding]);
    // A price of the organization's own that has no rates.
    let bare =
        "insert into tollgate.price_overrides (organization_id, price_id, model, per_request)
        values (':org', ':stranger', 'small', 0);";
    vec![
        priced("price_id = null", "usage :settled costs 60 and names no price"),
        priced(
            "price_id = ':stranger'",
            "usage :settled names price :stranger, which is not there",
        ),
        by(
            &[],
            bare.to_owned() + &update("usage", "price_id = ':stranger'", &of(":settled")),
            &["usage :settled names price :stranger, which is not there"],
        ),
        priced("model = 'large'", "usage :settled is of large and was priced as small"),
        priced("input_tokens = 61", "usage :settled costs 60, by its price it comes to 61"),
        priced("input_tokens = 59", "usage :settled costs 60, by its price it comes to 59"),
        priced("markup_bps = 100", "usage :settled costs 60, by its price it comes to 61"),
        // What is given back costs nothing, by any price.
        by(
            &[],
            update("usage", "cost = 5, input_tokens = 5", &of(":released")),
            &[
                "usage :released costs 5, by its price it comes to 0",
                "usage :released costs 5, ledger took 0 and is owed 0",
            ],
        ),
    ]
}
