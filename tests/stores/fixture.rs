//! The stores under test, behind one common interface.

use std::{sync::Arc, time::Duration};

use tollgate::{
    Tenant,
    domain::{
        credits::Credits,
        endpoint::Endpoint,
        finish::{Ending, Finish, Record, Settlement},
        hold::{HoldRequest, Window},
        ids::{OrganizationId, PriceId, RequestId},
        instant::rfc3339_micros,
        policy::{Policy, RateLimit},
        price::{Agreement, ModelPrice},
        role::Role,
        switch::Switch,
        usage::Usage,
    },
    postgres::{
        Operator, Pool, PoolConfig, PostgresStore, Seal,
        cluster::testing,
        sealing::{self, Sealing},
    },
    store::{
        Balance, Journal, Ledger, MemoryStore, PolicyStore, PriceStore, StoreError, SwitchStore,
        admin::{
            AgreementAdmin, Begins, BookAdmin, CreditAdmin, LimitAdmin, Limited, OrganizationAdmin,
            PolicyAdmin, RateChange, RateChanges, SwitchAdmin,
        },
        coalesce::Options,
    },
};
use uuid::Uuid;

use super::logs;

/// What every call here is about.
const PROMPT: &str = "what-they-asked";
const ANSWER: &str = "what-they-were-told";

pub(crate) trait Fixture {
    type Store: Ledger + Journal + PolicyStore + PriceStore + SwitchStore + Clone;
    async fn start() -> Self;
    fn store(&self) -> &Self::Store;
    async fn create(&self, id: OrganizationId);
    async fn try_grant(&self, id: OrganizationId, nanos: i64) -> Result<Balance, StoreError>;
    async fn set_policy(&self, id: OrganizationId, policy: Policy);
    async fn set_suspended(&self, id: OrganizationId, suspended: bool);
    async fn set_switch(&self, id: OrganizationId, switch: &Switch, on: bool);
    async fn set_role(&self, id: OrganizationId, user: &str, role: Role);
    /// For models that have a price, or for all.
    async fn set_rate_limit(&self, id: OrganizationId, limit: RateLimit);
    async fn agree(&self, id: OrganizationId, markup_bps: u32, prices: &[ModelPrice]);
    async fn expire(&self, id: OrganizationId) -> u64;
    /// Its hold stands no longer.
    async fn end_time(&self, id: OrganizationId, request_id: RequestId);
    async fn balance(&self, id: OrganizationId) -> Balance;
    async fn broken(&self, id: OrganizationId) -> Vec<String>;
    /// How long until this window of an organization ends, by the calendar and to the microsecond.
    async fn until_end(&self, id: OrganizationId, window: Window) -> Duration;

    async fn grant(&self, id: OrganizationId, nanos: i64) -> Balance {
        self.try_grant(id, nanos).await.unwrap()
    }

    /// An organization with these credits.
    async fn organization(&self, nanos: i64) -> Tenant {
        let id = OrganizationId::new(Uuid::now_v7());
        self.create(id).await;
        if nanos > 0 {
            self.grant(id, nanos).await;
        }
        Tenant::new(id, "ann")
    }

    /// Posted, held, debt; and the books are in order.
    async fn books(&self, tenant: &Tenant) -> (i64, i64, i64) {
        let id = tenant.organization_id();
        assert_eq!(self.broken(id).await, Vec::<String>::new());
        let Balance { posted, held, debt } = self.balance(id).await;
        (posted.nanos(), held.nanos(), debt.nanos())
    }
}

pub(crate) struct Memory(MemoryStore);

impl Fixture for Memory {
    type Store = MemoryStore;
    async fn start() -> Self {
        // Its days are those of UTC, and no test is to meet the end of one.
        while let left = utc_left(Window::Day)
            && left < Duration::from_secs(20)
        {
            tokio::time::sleep(left).await;
        }
        Self(MemoryStore::default())
    }
    fn store(&self) -> &MemoryStore {
        &self.0
    }
    async fn create(&self, id: OrganizationId) {
        assert!(self.0.create_organization(id));
    }
    async fn try_grant(&self, id: OrganizationId, nanos: i64) -> Result<Balance, StoreError> {
        self.0.grant_credits(id, Credits::from_nanos(nanos))
    }
    async fn set_policy(&self, id: OrganizationId, policy: Policy) {
        self.0.set_policy(id, policy).unwrap();
    }
    async fn set_suspended(&self, id: OrganizationId, suspended: bool) {
        self.0.set_suspended(id, suspended).unwrap();
    }
    async fn set_switch(&self, id: OrganizationId, switch: &Switch, on: bool) {
        self.0.set_switch(id, switch.clone(), on).unwrap();
    }
    async fn set_role(&self, id: OrganizationId, user: &str, role: Role) {
        self.0.set_role(id, user, role).unwrap();
    }
    async fn set_rate_limit(&self, id: OrganizationId, limit: RateLimit) {
        self.0.set_rate_limit(id, limit).unwrap();
    }
    async fn agree(&self, id: OrganizationId, markup_bps: u32, prices: &[ModelPrice]) {
        let agreement = Agreement::new(markup_bps, prices.iter().cloned());
        self.0.set_agreement(id, agreement).unwrap();
    }
    async fn expire(&self, id: OrganizationId) -> u64 {
        self.0.expire(id).unwrap().try_into().unwrap()
    }
    async fn end_time(&self, id: OrganizationId, request_id: RequestId) {
        self.0.end_time(id, request_id).unwrap();
    }
    async fn balance(&self, id: OrganizationId) -> Balance {
        self.0.balance(id).unwrap()
    }
    async fn broken(&self, id: OrganizationId) -> Vec<String> {
        self.0.reconcile(id).unwrap()
    }
    async fn until_end(&self, _: OrganizationId, window: Window) -> Duration {
        utc_left(window)
    }
}

/// How long until this window ends in UTC, by this machine's clock.
#[expect(clippy::disallowed_methods, reason = "the store in memory goes by the machine's clock")]
fn utc_left(window: Window) -> Duration {
    const DAY: u64 = 86_400_000_000;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = u64::try_from(now.as_micros()).unwrap();
    let left_of_day = DAY - now % DAY;
    let more_days = match window {
        Window::Day => 0,
        Window::Month => {
            // As it is written: 2026-02-01T…
            let written = rfc3339_micros(now.try_into().unwrap());
            let [year, month, day] =
                [0..4, 5..7, 8..10].map(|part| written[part].parse::<u64>().unwrap());
            let leap =
                year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
            let days = match month {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            days - day
        }
    };
    Duration::from_micros(left_of_day + more_days * DAY)
}

/// What [`costing`] is priced by: a nano-dollar for each input token.
pub(crate) const UNIT_PRICE: &str = "
    insert into tollgate.prices (price_id, model, provider, mode, per_request, source)
      values ('00000000-0000-0000-0000-000000000000', 'small', 'mock', 'chat', 0, '{}')
      on conflict do nothing;
    insert into tollgate.price_tiers
      select price_id, 0, 1000000, 0, 0, 0, 0, 0, effective_from from tollgate.prices
        where price_id = '00000000-0000-0000-0000-000000000000'
      on conflict do nothing";

/// A database that takes claims as they are.
pub(crate) type Postgres = On<false>;
/// A database that takes sealed claims only.
pub(crate) type Sealed = On<true>;

pub(crate) struct On<const SEALED: bool> {
    pub(crate) database: testing::Database,
    pub(crate) store: PostgresStore,
    pub(crate) operator: Operator,
    /// Of organizations that are in no particular one: it is about noon there, so that no day or month ends while a
    /// test goes on.
    noon: String,
}

/// What a gateway's login brings, though the cluster asks for none: no log may show it.
const PASSWORD: &str = "password-of-the-login";

/// The key of [`Sealed`] databases.
pub(crate) fn key() -> Seal {
    Seal::new(b"the key of databases under test, 1").unwrap()
}

/// A gateway's way into a database.
pub(crate) fn bounds(database: &testing::Database, seal: Option<Seal>) -> PoolConfig {
    let mut login = database.config();
    login.user("tollgate_login").password(PASSWORD);
    let mut bounds = PoolConfig::new(login);
    bounds.connections_max = 6;
    // A hundred holds at once wait for six connections on a busy machine.
    bounds.wait_max = Duration::from_secs(20);
    bounds.seal = seal;
    bounds
}

impl<const SEALED: bool> Fixture for On<SEALED> {
    type Store = PostgresStore;
    async fn start() -> Self {
        logs::listen();
        for secret in [PASSWORD, PROMPT, ANSWER] {
            logs::secret(secret);
        }
        let database = testing::database().await.unwrap();
        let admin = database.connect().await.unwrap();
        admin.batch_execute(UNIT_PRICE).await.unwrap();
        let noon = noon(&admin).await;
        let seal = SEALED.then(key);
        if let Some(seal) = &seal {
            sealing::set(&database.config(), &Sealing::Only(vec![seal.clone()])).await.unwrap();
        }
        let pool = Pool::connect(bounds(&database, seal)).unwrap();
        // Whoever is refused is told at once: what waits has tests of its own.
        let mut options = Options::default();
        options.wait_max = Duration::ZERO;
        let store = PostgresStore::with(pool.clone(), options);
        Self { database, store, operator: Operator::new(pool), noon }
    }
    fn store(&self) -> &PostgresStore {
        &self.store
    }
    async fn create(&self, id: OrganizationId) {
        assert!(self.operator.create_organization(id, "Test", &self.noon).await.unwrap());
    }
    async fn try_grant(&self, id: OrganizationId, nanos: i64) -> Result<Balance, StoreError> {
        let granted = self.operator.grant_credits(id, Credits::from_nanos(nanos), None).await;
        Ok(granted?.balance)
    }
    async fn set_policy(&self, id: OrganizationId, policy: Policy) {
        self.operator.set_policy(id, &policy).await.unwrap();
    }
    async fn set_suspended(&self, id: OrganizationId, suspended: bool) {
        self.operator.set_suspended(id, suspended).await.unwrap();
    }
    async fn set_switch(&self, id: OrganizationId, switch: &Switch, on: bool) {
        if on {
            assert!(self.operator.turn_on(id, switch, None).await.unwrap());
        } else {
            self.operator.turn_off(id, switch).await.unwrap();
        }
    }
    async fn set_role(&self, id: OrganizationId, user: &str, role: Role) {
        self.operator.set_role(id, user, role).await.unwrap();
    }
    async fn set_rate_limit(&self, id: OrganizationId, limit: RateLimit) {
        let RateLimit { scope, ref scope_id, ref model_pattern, rates } = limit;
        let limited = Limited { scope, scope_id, model_pattern };
        let change = |rate: Option<_>| rate.map_or(RateChange::Lift, RateChange::To);
        let changes = RateChanges {
            requests_per_minute: change(rates.requests_per_minute),
            tokens_per_minute: change(rates.tokens_per_minute),
            calls_in_flight: change(rates.calls_in_flight),
        };
        assert_eq!(self.operator.set_rate_limit(id, limited, changes).await.unwrap(), rates);
    }
    async fn agree(&self, id: OrganizationId, markup_bps: u32, prices: &[ModelPrice]) {
        let set = self.operator.set_markup(id, markup_bps, None).await;
        assert!(matches!(set, Ok(Begins::AtMicros(_))), "{set:?}");
        let agreed = self.operator.agree_prices(id, prices, None).await;
        assert!(matches!(agreed, Ok(Begins::AtMicros(_))), "{agreed:?}");
    }
    async fn expire(&self, id: OrganizationId) -> u64 {
        self.store.expire(id).await.unwrap()
    }
    async fn end_time(&self, id: OrganizationId, request_id: RequestId) {
        let client = self.database.connect().await.unwrap();
        let sql = "update tollgate.credit_holds set expires_at = clock_timestamp() \
            where organization_id = $1 and request_id = $2";
        client.execute(sql, &[&id.as_uuid(), &request_id.as_uuid()]).await.unwrap();
    }
    async fn balance(&self, id: OrganizationId) -> Balance {
        self.operator.organization(id).await.unwrap().balance
    }
    async fn broken(&self, id: OrganizationId) -> Vec<String> {
        self.operator.books(id).await.unwrap().broken
    }
    async fn until_end(&self, id: OrganizationId, window: Window) -> Duration {
        let client = self.database.connect().await.unwrap();
        // The server's own calendar, which knows of clocks that go back.
        let sql = "select (extract(epoch from (date_trunc($2, now() at time zone o.time_zone) + ('1 ' || $2)::interval)
                     at time zone o.time_zone - clock_timestamp()) * 1000000)::bigint
              from tollgate.organizations o where o.organization_id = $1";
        let row = client.query_one(sql, &[&id.as_uuid(), &window.as_str()]).await.unwrap();
        Duration::from_micros(row.get::<_, i64>(0).try_into().unwrap())
    }
}

impl<const SEALED: bool> On<SEALED> {
    pub(crate) async fn set_time_zone(&self, id: OrganizationId, time_zone: &str) {
        let client = self.database.connect().await.unwrap();
        let sql = "update tollgate.organizations set time_zone = $2 where organization_id = $1";
        assert_eq!(client.execute(sql, &[&id.as_uuid(), &time_zone]).await.unwrap(), 1);
    }
}

/// A time zone in which it is about noon by the database's clock, other than that of the server.
async fn noon(client: &tokio_postgres::Client) -> String {
    let sql = "select extract(hour from now() at time zone 'UTC')::int4";
    let hour: i32 = client.query_one(sql, &[]).await.unwrap().get(0);
    let west = if hour == 12 { 2 } else { hour - 12 };
    // In these names, west of Greenwich is a plus.
    format!("Etc/GMT{west:+}")
}

pub(crate) fn hold(nanos: i64, tokens: i64) -> HoldRequest {
    HoldRequest {
        request_id: RequestId::generate(),
        amount: Credits::from_nanos(nanos),
        tokens,
        ttl: Duration::from_mins(5),
    }
}

/// The finish of a call that had no hold.
pub(crate) fn unheld(request_id: RequestId) -> Arc<Finish> {
    Arc::new(Finish {
        request_id,
        client_request_id: Some("client-1".into()),
        endpoint: Endpoint::ChatCompletions,
        model: "small".into(),
        answered_by: Some("small-2026".into()),
        provider: Some("mock".into()),
        stream: true,
        ending: Ending::Complete,
        status: 200,
        usage: Usage { input: 3, output: 4, ..Usage::default() },
        estimated: false,
        clamped: false,
        settlement: None,
        latency: Duration::from_millis(20),
        first_byte: Some(Duration::from_millis(5)),
        record: Some(Record {
            request: Some(format!("{{\"prompt\":\"{PROMPT}\0b\"}}")),
            response: Some(ANSWER.into()),
            truncated: false,
        }),
    })
}

/// The finish of a call that cost this much, by as many input tokens.
pub(crate) fn costing(request_id: RequestId, nanos: i64, tokens: i64) -> Arc<Finish> {
    let settlement = Settlement {
        amount: Credits::from_nanos(nanos),
        tokens,
        price_id: PriceId::new(Uuid::nil()),
        markup_bps: 0,
        release: false,
    };
    let usage = Usage { input: nanos.try_into().unwrap(), ..Usage::default() };
    Arc::new(Finish { settlement: Some(settlement), usage, ..Finish::clone(&unheld(request_id)) })
}

/// The finish of a call that came to nothing.
pub(crate) fn releasing(request_id: RequestId) -> Arc<Finish> {
    let mut finish = Finish::clone(&costing(request_id, 0, 0));
    if let Some(settlement) = &mut finish.settlement {
        settlement.release = true;
    }
    Arc::new(Finish { ending: Ending::Failed, status: 502, ..finish })
}
