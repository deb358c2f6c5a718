//! Overdue holds expire in every schema, however many schemas there are.

use tollgate::{
    domain::{credits::Credits, ids::OrganizationId},
    postgres::{Place, Schema},
    store::admin::{BookAdmin, CreditAdmin, OrganizationAdmin},
};
use uuid::Uuid;

use super::street::{Street, connect, far};

/// How many schemas one sweep visits.
const AT_ONCE: u128 = 64;

/// Makes the organization in this place, with credits.
async fn paid(street: &Street, id: OrganizationId, place: &Place) {
    assert!(street.mover().create(id, "Swept", "UTC", place).await.unwrap());
    street.operator().grant_credits(id, Credits::from_nanos(1_000), None).await.unwrap();
}

/// A hold of it that is overdue.
async fn overdue(street: &Street, id: OrganizationId, place: &Place) {
    let (client, schema) = street.look(id, place).await;
    let hold = format!(
        "select from {schema}.hold('{id}', '{{\"organization_id\": \"{id}\", \"sub\": \"ann\"}}', '{{{}}}', '{{100}}', '{{1}}', '{{60000}}', '{{ann}}', '{{null}}', '{{null}}');
         update {schema}.credit_holds set expires_at = now() - interval '1 second' where status = 'open'",
        Uuid::now_v7()
    );
    client.batch_execute(&hold).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overdue_holds_expire_in_more_schemas_than_one_sweep_visits() {
    let street = Street::open().await;
    // Before all others in the order of sweeps, and all away: their schemas are not there.
    let main = connect(&street.main).await;
    for number in 1..=AT_ONCE {
        let id = Uuid::from_u128(number);
        let schema = Schema::of(OrganizationId::new(id)).name().to_owned();
        let sql = "insert into tollgate.organizations (organization_id, name, placement, place) values ($1, 'away', 'schema', $2)";
        main.execute(sql, &[&id, &schema]).await.unwrap();
    }
    let [last, distant, shared] = [(); 3].map(|()| OrganizationId::new(Uuid::now_v7()));
    for (id, place) in [(last, Place::Schema), (distant, far()), (shared, Place::Row)] {
        paid(&street, id, &place).await;
        overdue(&street, id, &place).await;
    }

    // As the gateway's login, whose sweeps these are.
    let places = street.places_as(Some("tollgate_login"));
    let held = async |id| street.operator().organization(id).await.unwrap().balance.held.nanos();
    assert_eq!((held(last).await, held(distant).await, held(shared).await), (100, 100, 100));
    // Those that are away keep nobody else waiting longer than for their turn.
    assert_eq!(places.sweep().await.unwrap(), 2);
    assert_eq!((held(last).await, held(distant).await, held(shared).await), (100, 0, 0));
    assert_eq!(places.sweep().await.unwrap(), 1);
    assert_eq!(held(last).await, 0);
    // And again from the first: another hold there waits for one round at the most.
    overdue(&street, last, &Place::Schema).await;
    let swept = places.sweep().await.unwrap() + places.sweep().await.unwrap();
    assert_eq!((swept, held(last).await), (1, 0));
    assert_eq!(street.operator().books(last).await.unwrap().broken, Vec::<String>::new());
}
