//! Two hundred clients of twenty organizations on four connections, many of which leave at random.
//!
//! `TOLLGATE_NEIGHBOURS_REQUESTS` says how many requests there are in all.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::timeout;
use tollgate::{
    Tenant,
    domain::role::Role,
    postgres::{Door, DoorRole, Pool, Query},
};

use super::{
    bare::clean_checkouts,
    harness::{Ask, BOTH, Client, Dice, House, Org, RICH, logs},
};

const CLIENTS: usize = 200;
const ORGANIZATIONS: usize = 20;
const REQUESTS_DEFAULT: usize = 1_000;

/// What a person sees of the log: no predicate, so that row security alone decides.
const SEEN: Query = Query::new(
    "select organization_id::text, coalesce(request, '') || coalesce(response, '')
       from tollgate.audit_events order by arrived_at desc limit 20",
    &[],
);
/// What a connection out of the pool has on it.
const FOUND: Query = Query::new(
    "select session_user::text, current_user::text, current_setting('role'),
            coalesce(current_setting('request.jwt.claims', true), ''), pg_current_xact_id_if_assigned() is null",
    &[],
);

struct Crowd {
    house: House,
    orgs: Vec<(Org, String)>,
    pool: Pool,
    requests: usize,
}

impl Crowd {
    /// Nothing of anybody else's stands in it.
    fn only(&self, own: usize, text: &str) {
        let (org, canary) = &self.orgs[own];
        assert_eq!(text.matches("canary").count(), text.matches(canary).count(), "{text}");
        for (other, _) in self.orgs.iter().filter(|(other, _)| other.id != org.id) {
            assert!(!text.contains(&other.id.to_string()), "{text}");
        }
    }

    /// One client's requests, one after the other, on connections that it keeps while it can. How many it
    /// stayed for.
    async fn visit(&self, number: usize) -> usize {
        let mut dice = Dice::new(u64::try_from(number).unwrap());
        let own = number % ORGANIZATIONS;
        let (mut open, mut stayed): (Option<Client>, usize) = (None, 0);
        for _ in 0..self.requests / CLIENTS {
            match dice.below(8) {
                0 => {
                    let patience = dice.below(100_000).try_into().unwrap();
                    self.look_back(own, Duration::from_micros(patience)).await;
                }
                1 => self.look_at_the_connection().await,
                _ => {}
            }
            let mut ask = Ask::of(BOTH[dice.below(2)]).saying(&self.orgs[own].1);
            ask = ask.mock("output-tokens", 1 + dice.below(40));
            if dice.below(2) == 0 {
                ask = ask.streamed();
            }
            let mut client = match open.take() {
                Some(client) => client,
                None => self.house.client().await,
            };
            client.send(&ask.bytes(&self.orgs[own].0.token)).await;
            match dice.below(10) {
                // In the middle of what comes.
                0 => {
                    let some = client.read(1 + dice.below(400));
                    drop(timeout(Duration::from_secs(2), some).await);
                    client.reset();
                    continue;
                }
                // Whatever is being done for it.
                1 => {
                    let patience = Duration::from_micros(dice.below(300_000).try_into().unwrap());
                    drop(timeout(patience, client.answer()).await);
                    continue;
                }
                _ => {}
            }
            let answer = client.answer().await.expect("an answer");
            assert_eq!((answer.status, answer.whole), (200, true), "{}", answer.text());
            assert!(answer.text().contains(&self.orgs[own].1));
            self.only(own, &format!("{:?} {}", answer.headers, answer.text()));
            stayed += 1;
            open = Some(client);
        }
        stayed
    }

    /// What a member of the organization sees of the log, unless it leaves before.
    async fn look_back(&self, own: usize, patience: Duration) {
        let person = Tenant::new(self.orgs[own].0.id, "ann").with_role(Role::Member);
        let door = Door::new(self.pool.clone());
        let looking = door.run(person.claims(), DoorRole::Member, &SEEN, &[]);
        let Ok(rows) = timeout(patience, looking).await else { return };
        for row in rows.unwrap() {
            assert_eq!(row.get::<_, &str>(0), self.orgs[own].0.id.to_string());
            self.only(own, row.get(1));
        }
    }

    async fn look_at_the_connection(&self) {
        let found = self.pool.call(&FOUND, &[]).await.unwrap();
        let texts: Vec<&str> = (0..4).map(|index| found.get(index)).collect();
        assert_eq!(texts, ["tollgate_login", "tollgate_login", "none", ""]);
        assert!(found.get::<_, bool>(4), "a transaction was left open");
    }

    /// What is kept of each organization is its own, and adds up.
    async fn books(&self) {
        let rows = self.house.check().await;
        let mut calls = BTreeMap::new();
        for row in &rows {
            *calls.entry(row.organization).or_insert(0_usize) += 1;
        }
        assert_eq!(calls.len(), ORGANIZATIONS);
        let foreign = "select count(*) from tollgate.audit_events where organization_id = $1
                         and replace(coalesce(request, '') || coalesce(response, ''), $2, '') like '%canary%'";
        for (org, canary) in &self.orgs {
            let id = org.id.as_uuid();
            let found = async { self.house.admin.query_one(foreign, &[&id, canary]).await };
            let found = logs::unheard(found).await.unwrap();
            assert_eq!(found.get::<_, i64>(0), 0);
            let charged: i64 =
                rows.iter().filter(|row| row.organization == id).map(|row| row.charged).sum();
            assert_eq!(self.house.balance(org).await, (RICH - charged, 0, 0));
        }
    }
}

impl Crowd {
    async fn gather(house: House, requests: usize) -> Arc<Self> {
        let mut orgs = Vec::new();
        for number in 0..ORGANIZATIONS {
            orgs.push((house.organization(RICH).await, format!("canary{number:02}x")));
        }
        let pool = house.gateways[0].pool.clone();
        Arc::new(Self { house, orgs, pool, requests })
    }
}

/// How many requests a crowd makes: the one that all is asked of.
pub(crate) fn all() -> usize {
    let wanted = std::env::var("TOLLGATE_NEIGHBOURS_REQUESTS").ok();
    wanted.map_or(REQUESTS_DEFAULT, |number| number.parse().unwrap())
}

/// Those that show the same behind other walls.
pub(crate) fn fewer() -> usize {
    REQUESTS_DEFAULT.max(all() / 6)
}

pub(crate) async fn stays_apart(house: House, requests: usize) {
    let crowd = Crowd::gather(house, requests).await;
    let visits = (0..CLIENTS).map(|number| {
        let crowd = Arc::clone(&crowd);
        tokio::spawn(async move { crowd.visit(number).await })
    });
    let stayed: usize = join_all(visits).await.into_iter().map(|stayed| stayed.unwrap()).sum();
    assert!(stayed > requests / 2 && stayed < requests, "some stay and some leave: {stayed}");
    crowd.books().await;
    let looked = clean_checkouts(&crowd.house.admin).await;
    // A hold and a finish each; those of one organization's clients at one moment share a checkout.
    let least = 2 * stayed / (CLIENTS / ORGANIZATIONS);
    assert!(looked >= i64::try_from(least).unwrap(), "{looked} checkouts for {stayed} calls");
    Arc::into_inner(crowd).unwrap().house.close().await;
    eprintln!("{requests} requests, {stayed} of them stayed for, {looked} checkouts looked at");
}

/// That the crowd sees what there is to see: with one policy that lets everything through, somebody does.
pub(crate) async fn notices_a_foreign_byte(house: House) {
    let open = "alter policy audit_events_select_member on tollgate.audit_events using (organization_id is not null)";
    house.admin.batch_execute(open).await.unwrap();
    let crowd = Crowd::gather(house, 0).await;
    for ((org, canary), dialect) in crowd.orgs.iter().zip(BOTH) {
        let ask = Ask::of(dialect).saying(canary);
        assert_eq!(crowd.house.ask(org, &ask).await.status, 200);
    }
    let looking = tokio::spawn({
        let crowd = Arc::clone(&crowd);
        async move { crowd.look_back(0, Duration::from_mins(1)).await }
    });
    assert!(looking.await.is_err_and(|error| error.is_panic()), "a foreign row went unnoticed");
    Arc::into_inner(crowd).unwrap().house.close().await;
}
