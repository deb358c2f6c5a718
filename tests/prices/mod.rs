//! Prices, bills and statements as an operator uses them: the command, its files and its exit status.

mod bills;
mod list;

use crate::{logs, program};

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tollgate::{
    Tenant,
    domain::{
        credits::Credits,
        endpoint::Endpoint,
        finish::{Ending, Finish, Settlement},
        hold::HoldRequest,
        ids::{OrganizationId, RequestId},
        usage::Usage,
    },
    postgres::{Operator, Pool, PoolConfig, PostgresStore, cluster::testing},
    store::{Journal, Ledger, PriceStore, admin::CreditAdmin},
};
use uuid::Uuid;

/// A database, the operator's command on it, and a folder for price files.
struct Desk {
    database: testing::Database,
    operator: Operator,
    store: PostgresStore,
    folder: PathBuf,
}

impl Drop for Desk {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

impl Desk {
    async fn open() -> Self {
        logs::listen();
        let database = testing::database().await.unwrap();
        let pool = Pool::connect(PoolConfig::new(database.config())).unwrap();
        let folder = std::env::temp_dir().join(format!("tollgate-prices-{}", Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        let (operator, store) = (Operator::new(pool.clone()), PostgresStore::new(pool));
        Self { database, operator, store, folder }
    }

    /// Writes a file into the folder, and returns its path.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Runs a command, as it would be typed.
    fn run(&self, line: &str) -> Output {
        self.run_on(&self.database.url(), line)
    }

    fn run_on(&self, database: &str, line: &str) -> Output {
        let mut command = Command::new(program::tollgate());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TOLLGATE_") {
                command.env_remove(name);
            }
        }
        command.env("DATABASE_URL", database).env("TOLLGATE_LOG__LEVEL", "trace");
        command.current_dir(&self.folder).args(line.split_whitespace()).stdin(Stdio::null());
        let output = command.output().unwrap();
        String::from_utf8_lossy(&output.stderr).lines().for_each(logs::heard);
        output
    }

    /// What a command that succeeds says as JSON.
    fn json(&self, line: &str) -> Value {
        self.answer(line, 0)
    }

    /// What a command that refuses says as JSON.
    fn refused(&self, line: &str) -> Value {
        self.answer(line, 1)
    }

    fn answer(&self, line: &str, status: i32) -> Value {
        let output = self.run(&format!("{line} --json"));
        assert_eq!(output.status.code(), Some(status), "{line}: {}", text(&output));
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{line}: {}", text(&output)))
    }

    async fn organization(&self, time_zone: &str, nanos: i64) -> Tenant {
        let id = OrganizationId::new(Uuid::now_v7());
        assert!(self.operator.create_organization(id, "Acme", time_zone).await.unwrap());
        self.operator
            .grant_credits(id, Credits::from_nanos(nanos), Some("invoice 1"))
            .await
            .unwrap();
        Tenant::new(id, "ann")
    }

    /// A call of this tenant, by what it pays now.
    async fn call(&self, tenant: &Tenant, model: &str, usage: Usage) -> RequestId {
        let agreement = self.store.agreement(tenant).await.unwrap();
        let quote = agreement.quote(&self.store.price_book().await.unwrap(), model).unwrap();
        let (amount, request_id) = (quote.cost(&usage).unwrap(), RequestId::generate());
        let ttl = std::time::Duration::from_mins(5);
        let hold = HoldRequest { request_id, amount, tokens: 1, ttl };
        self.store.hold(tenant, hold).await.unwrap();
        let settlement = Settlement {
            amount,
            tokens: 1,
            price_id: quote.price_id(),
            markup_bps: quote.markup_bps(),
            release: false,
        };
        let finish = Finish {
            request_id,
            client_request_id: None,
            endpoint: Endpoint::ChatCompletions,
            model: model.into(),
            answered_by: None,
            provider: None,
            stream: false,
            ending: Ending::Complete,
            status: 200,
            usage,
            estimated: false,
            clamped: false,
            settlement: Some(settlement),
            latency: std::time::Duration::ZERO,
            first_byte: None,
            record: None,
        };
        self.store.finish(tenant, &std::sync::Arc::new(finish)).await.unwrap();
        request_id
    }
}

fn text(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat()
}

/// A file of ours: each model with its dollars per million tokens of input and output.
fn own(models: &[(&str, &str, &str)]) -> String {
    let models: Vec<_> = models
        .iter()
        .map(|(model, input, output)| {
            format!(r#""{model}":{{"provider":"acme","usd_per_million_tokens":{{"input":{input},"output":{output}}}}}"#)
        })
        .collect();
    format!(r#"{{"tollgate_prices":1,"models":{{{}}}}}"#, models.join(","))
}
