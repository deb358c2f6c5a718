//! How long the caches keep their entries, on a paused clock.

use std::num::NonZeroU32;

use tokio::time::{Instant, advance, sleep};

use super::*;
use crate::{
    domain::{
        ids::{KeyId, OrganizationId, TeamId},
        policy::Policy,
        role::Role,
    },
    testing,
};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
/// The time to live that is configured, and the one in effect: never more than half a minute.
const TTLS: [(Duration, Duration); 3] = [
    (Policies::TTL_MAX, Duration::from_secs(30)),
    (Duration::from_secs(7), Duration::from_secs(7)),
    (Duration::from_hours(1), Duration::from_secs(30)),
];

/// A store that reads at once and answers late.
struct Slow(MemoryStore);

impl Slow {
    const TAKES: Duration = Duration::from_secs(2);
}

impl PolicyStore for Slow {
    fn standing<'a>(&'a self, tenant: &'a Tenant) -> StoreFuture<'a, Standing> {
        Box::pin(async {
            let seen = self.0.standing(tenant).await;
            sleep(Self::TAKES).await;
            seen
        })
    }
}

impl PriceStore for Slow {
    fn price_book(&self) -> StoreFuture<'_, PriceBook> {
        self.0.price_book()
    }

    fn agreement<'a>(&'a self, tenant: &'a Tenant) -> StoreFuture<'a, Agreement> {
        Box::pin(async {
            let seen = self.0.agreement(tenant).await;
            sleep(Self::TAKES).await;
            seen
        })
    }
}

fn stored() -> (MemoryStore, Tenant) {
    let (store, tenant) = (MemoryStore::default(), testing::tenant());
    assert!(store.create_organization(tenant.organization_id()));
    (store, tenant)
}

/// A policy that can be recognized by this mark.
fn marked(mark: u32) -> Policy {
    Policy { output_tokens_default: NonZeroU32::new(mark), ..Policy::default() }
}

fn mark(standing: &Standing) -> u32 {
    standing.policy.output_tokens_default.map_or(0, NonZeroU32::get)
}

/// Advances to one millisecond before the value that was read at `asked` reaches this age.
async fn a_millisecond_before(asked: Instant, age: Duration) {
    advance(age.saturating_sub(asked.elapsed()).saturating_sub(MILLISECOND)).await;
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_believed_for_half_a_minute_from_when_it_was_asked_for() {
    for (asked_for, ttl) in TTLS {
        let (store, tenant) = stored();
        let policies = Policies::cached(Arc::new(Slow(store.clone())), asked_for);
        let organization: OrganizationId = tenant.organization_id();
        store.set_policy(organization, marked(1)).unwrap();
        let asked = Instant::now();
        assert_eq!(mark(&policies.get(&tenant).await.unwrap()), 1);
        store.set_policy(organization, marked(2)).unwrap();
        a_millisecond_before(asked, ttl).await;
        assert_eq!(policies.peek(&tenant).as_ref().map(mark), Some(1));
        assert_eq!(mark(&policies.get(&tenant).await.unwrap()), 1);
        advance(MILLISECOND).await;
        assert!(policies.peek(&tenant).is_none(), "{ttl:?}");
        let again = Instant::now();
        assert_eq!(mark(&policies.get(&tenant).await.unwrap()), 2);
        assert!(again.elapsed() >= Slow::TAKES, "it was not read anew");
        // The second read expires in the same way.
        a_millisecond_before(again, ttl).await;
        assert!(policies.peek(&tenant).is_some());
        advance(MILLISECOND).await;
        assert!(policies.peek(&tenant).is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn an_agreed_price_is_believed_for_half_a_minute_from_when_it_was_asked_for() {
    for (asked_for, ttl) in TTLS {
        let (store, tenant) = stored();
        let slow = Arc::new(Slow(store.clone()));
        let prices = Prices::cached(slow, PriceBook::default(), asked_for);
        let agree = |markup| {
            store.set_agreement(tenant.organization_id(), Agreement::new(markup, [])).unwrap();
        };
        let told = async || prices.agreement(&tenant).await.unwrap().markup_bps();
        agree(1);
        let asked = Instant::now();
        assert_eq!(told().await, 1);
        agree(2);
        a_millisecond_before(asked, ttl).await;
        assert_eq!(prices.peek(&tenant).map(|agreed| agreed.markup_bps()), Some(1));
        assert_eq!(told().await, 1);
        advance(MILLISECOND).await;
        assert!(prices.peek(&tenant).is_none(), "{ttl:?}");
        assert_eq!(told().await, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_all_the_time_is_not_believed_for_longer() {
    let (store, tenant) = stored();
    let policies = Policies::cached(Arc::new(store.clone()), Policies::TTL_MAX);
    let organization = tenant.organization_id();
    assert_eq!(mark(&policies.get(&tenant).await.unwrap()), 0);
    store.set_policy(organization, marked(2)).unwrap();
    for second in 1..=60 {
        advance(SECOND).await;
        let expected = if second < 30 { 0 } else { 2 };
        assert_eq!(mark(&policies.get(&tenant).await.unwrap()), expected, "{second}");
    }
}

#[tokio::test]
async fn each_of_many_callers_of_one_organization_has_a_standing_of_its_own() {
    let (store, anybody) = stored();
    let policies = Policies::cached(Arc::new(store.clone()), Policies::TTL_MAX);
    let id = anybody.organization_id();
    let roles = [Role::Owner, Role::Admin, Role::Member, Role::Viewer];
    // Enough callers that some hashes share a prefix.
    let people: Vec<_> = (0..2_000_usize).map(|n| (format!("person {n}"), roles[n % 4])).collect();
    for (name, role) in &people {
        store.set_role(id, name, *role).unwrap();
        policies.get(&Tenant::new(id, name.as_str())).await.unwrap();
    }
    for (name, role) in &people {
        let known = policies.peek(&Tenant::new(id, name.as_str())).unwrap();
        assert_eq!(known.role, Some(*role), "{name}");
    }
    // The same person in a team or with a key has an entry of its own, and so has each organization.
    let (name, _) = &people[0];
    let person = Tenant::new(id, name.as_str());
    let team = TeamId::new(uuid::Uuid::from_u128(1));
    let key = KeyId::new(uuid::Uuid::from_u128(1));
    assert!(policies.peek(&person.clone().with_team(team)).is_none());
    assert!(policies.peek(&person.with_key(key)).is_none());
    let other = OrganizationId::new(uuid::Uuid::from_u128(7));
    assert!(
        people.iter().all(|(name, _)| policies.peek(&Tenant::new(other, name.as_str())).is_none())
    );
}

#[tokio::test]
async fn nobody_is_known_by_a_name_that_others_have_in_other_organizations() {
    let (store, anybody) = stored();
    let policies = Policies::cached(Arc::new(store), Policies::TTL_MAX);
    let name = |n: u32| format!("person {n}");
    for n in 0..64 {
        policies.get(&Tenant::new(anybody.organization_id(), &name(n))).await.unwrap();
    }
    // Enough look-ups that many hashes share a prefix.
    for other in 0..500 {
        let organization = OrganizationId::new(uuid::Uuid::from_u128(other));
        for n in 0..64 {
            assert!(
                policies.peek(&Tenant::new(organization, &name(n))).is_none(),
                "{n} of {other}"
            );
        }
    }
}

#[tokio::test]
async fn the_tokens_role_goes_before_the_membership_tables() {
    let (store, tenant) = stored();
    store.set_role(tenant.organization_id(), tenant.user_id(), Role::Viewer).unwrap();
    let policies = Policies::cached(Arc::new(store), Policies::TTL_MAX);
    assert_eq!(policies.get(&tenant).await.unwrap().role, Some(Role::Viewer));
    let said = tenant.with_role(Role::Owner);
    assert_eq!(policies.get(&said).await.unwrap().role, Some(Role::Owner));
    assert_eq!(policies.peek(&said).unwrap().role, Some(Role::Owner));
}
