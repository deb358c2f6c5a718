//! Moves without concurrent calls: every row arrives and no row stays behind, for every kind of place.

use tokio_postgres::Client;
use tollgate::{
    domain::{credits::Credits, ids::OrganizationId},
    postgres::{
        Operator, Place,
        cluster::{Cluster, Options},
        membership::{self, Membership},
        migrate,
        places::{MoveError, Mover},
    },
    store::admin::{BookAdmin, CreditAdmin, OrganizationAdmin},
};
use uuid::Uuid;

use super::{
    harness::until,
    street::{FAR, Street, connect, far, pool, rows_in, store_across},
};

/// Everything that an organization has in a place, as text.
pub(crate) async fn everything(street: &Street, id: OrganizationId, place: &Place) -> Vec<String> {
    let (client, schema) = street.look(id, place).await;
    let mut found = Vec::new();
    let tables = client.query(&format!("select name from {schema}.movable()"), &[]).await.unwrap();
    for table in tables.iter().map(|row| row.get::<_, &str>(0)) {
        let sql = format!(
            "select '{table} ' || t::text from {schema}.{table} t where organization_id = $1 order by 1"
        );
        let rows = client.query(&sql, &[&id.as_uuid()]).await.unwrap();
        assert!(!rows.is_empty(), "{table} has no row of it");
        found.extend(rows.iter().map(|row| row.get::<_, String>(0)));
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_organization_climbs_the_ladder_and_comes_down_whole() {
    let street = Street::open().await;
    let (id, neighbour) = (street.resident().await, street.resident().await);
    let mover = street.mover();
    let before = everything(&street, id, &Place::Row).await;
    let theirs = everything(&street, neighbour, &Place::Row).await;
    let mut at = Place::Row;
    for to in [Place::Schema, far(), Place::Row, far(), Place::Schema, Place::Row] {
        let copied = mover.move_to(id, &to).await.unwrap().unwrap();
        assert_eq!(usize::try_from(copied.rows.values().sum::<i64>()).unwrap(), before.len());
        assert_eq!(everything(&street, id, &to).await, before, "{to}");
        let standing = street.operator().places().whereabouts(id).await.unwrap();
        assert_eq!(
            (standing.place, standing.moving_to, standing.moved_from),
            (to.clone(), None, None)
        );
        // Of the directory's own row, and of no other, there is one left.
        let (client, schema) = street.look(id, &at).await;
        let left = rows_in(&client, &schema, id).await;
        assert_eq!(left, i64::from(at == Place::Row), "{at}");
        assert_eq!(mover.move_to(id, &to).await.unwrap(), None);
        at = to;
    }
    assert_eq!(everything(&street, neighbour, &Place::Row).await, theirs);
    assert!(matches!(mover.abort(id).await, Err(MoveError::NotMoving)));
}

/// A gateway's connection, on which statements are sent one by one.
async fn login(street: &Street) -> Client {
    let mut config = street.main.clone();
    connect(config.user("tollgate_login")).await
}

fn hold(id: OrganizationId, nanos: i64) -> String {
    let (request, claims) =
        (Uuid::now_v7(), format!(r#"{{"organization_id": "{id}", "sub": "ann"}}"#));
    format!(
        "select result from tollgate.hold('{id}', '{claims}', '{{{request}}}', '{{{nanos}}}', '{{1}}', '{{60000}}', '{{ann}}', '{{null}}', '{{null}}')"
    )
}

async fn paid(street: &Street) -> OrganizationId {
    let (id, operator) = (OrganizationId::new(Uuid::now_v7()), street.operator());
    operator.create_organization(id, "Paid", "UTC").await.unwrap();
    operator.grant_credits(id, Credits::from_nanos(1_000), None).await.unwrap();
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_writes_when_calls_are_held_up_is_waited_for_and_whoever_comes_then_is_refused() {
    let street = Street::open().await;
    let (id, places) = (paid(&street).await, street.places_as(None));
    let (early, late) = (login(&street).await, login(&street).await);
    early.batch_execute("begin").await.unwrap();
    early.batch_execute(&hold(id, 100)).await.unwrap();
    let other = connect(&street.main).await;
    other.batch_execute("begin; select from tollgate.settings for update").await.unwrap();
    let mover = street.mover();
    let outcome = tokio::spawn(async move { mover.move_to(id, &Place::Schema).await });
    until("calls are held up", async || places.whereabouts(id).await.unwrap().held_up).await;
    early.batch_execute("commit").await.unwrap();
    let refused = late.batch_execute(&hold(id, 10)).await.unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "TG302", "{refused}");
    assert!(!outcome.is_finished());
    other.batch_execute("commit").await.unwrap();
    outcome.await.unwrap().unwrap();
    let refused = late.batch_execute(&hold(id, 10)).await.unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "TG301", "{refused}");
    let there = street.operator().organization(id).await.unwrap();
    assert_eq!((there.balance.held.nanos(), there.whereabouts.place), (100, Place::Schema));
    assert_eq!(street.operator().books(id).await.unwrap().broken, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_does_not_end_lets_calls_go_on_where_they_were() {
    let street = Street::open().await;
    let (id, mover) = (paid(&street).await, street.mover());
    let endless = login(&street).await;
    endless.batch_execute("begin").await.unwrap();
    endless.batch_execute(&hold(id, 100)).await.unwrap();
    let given_up = mover.move_to(id, &far()).await.unwrap_err();
    assert!(matches!(&given_up, MoveError::Writers(pids) if pids.len() == 1), "{given_up}");
    let standing = street.operator().places().whereabouts(id).await.unwrap();
    assert_eq!(
        (standing.place, standing.held_up, standing.moving_to),
        (Place::Row, false, Some(far()))
    );
    // One that does not have to do with this place is not waited for.
    let elsewhere = connect(&street.main).await;
    elsewhere
        .batch_execute(
            "create table public.theirs (v int); begin; insert into public.theirs values (1)",
        )
        .await
        .unwrap();
    endless.batch_execute("commit").await.unwrap();

    assert!(
        matches!(mover.move_to(id, &Place::Schema).await, Err(MoveError::OtherMove(to)) if to == far())
    );
    mover.abort(id).await.unwrap();
    let (client, schema) = street.look(id, &far()).await;
    assert_eq!(rows_in(&client, &schema, id).await, 0);
    mover.move_to(id, &Place::Schema).await.unwrap();
    let there = street.operator().organization(id).await.unwrap();
    assert_eq!((there.balance.held.nanos(), there.whereabouts.place), (100, Place::Schema));
    elsewhere.batch_execute("commit").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_the_main_one_by_another_name_is_no_place_to_go() {
    let street = Street::open().await;
    let id = paid(&street).await;
    let places = store_across(pool(&street.main), [(FAR.to_owned(), pool(&street.main))]);
    let mover = Mover::new(places);
    assert!(matches!(mover.move_to(id, &far()).await, Err(MoveError::Busy)));
    mover.move_to(id, &Place::Schema).await.unwrap_err();
    let there = street.operator().organization(id).await.unwrap();
    assert_eq!((there.balance.posted.nanos(), there.whereabouts.place), (1_000, Place::Row));
    // Undone where the name means another database.
    street.mover().abort(id).await.unwrap();
    street.mover().move_to(id, &Place::Schema).await.unwrap();
    assert!(matches!(mover.move_to(id, &far()).await, Err(MoveError::Busy)));
    let there = street.operator().organization(id).await.unwrap();
    assert_eq!((there.balance.posted.nanos(), there.whereabouts.place), (1_000, Place::Schema));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owner_of_a_database_moves_organizations_without_being_superuser() {
    let cluster = Cluster::temporary(Options::ephemeral()).await.unwrap();
    let server = connect(&cluster.config("postgres")).await;
    server.batch_execute("create role keeper login createrole").await.unwrap();
    let mut configs = Vec::new();
    for name in ["near", "distant"] {
        let sql = format!("create database {name} owner keeper template template0");
        server.batch_execute(&sql).await.unwrap();
        let mut config = cluster.config(name);
        config.user("keeper");
        migrate::run(&config).await.unwrap();
        configs.push(config);
    }
    let further = [(FAR.to_owned(), pool(&configs[1]))];
    let places = store_across(pool(&configs[0]), further);
    let (mover, operator) = (Mover::new(places.clone()), Operator::over(places));
    let ids = [(); 3].map(|()| OrganizationId::new(Uuid::now_v7()));
    for (id, place) in ids.iter().zip([Place::Row, Place::Schema, far()]) {
        assert!(mover.create(*id, "Kept", "UTC", &place).await.unwrap());
        operator.grant_credits(*id, Credits::from_nanos(7), None).await.unwrap();
        for to in [far(), Place::Schema, Place::Row] {
            mover.move_to(*id, &to).await.unwrap();
        }
        assert_eq!(operator.organization(*id).await.unwrap().balance.posted.nanos(), 7);
    }
    assert!(operator.reconcile().await.unwrap().broken.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_copied_once_and_has_changed_since_is_copied_again() {
    let street = Street::open().await;
    let (id, mover) = (street.resident().await, street.mover());
    let (endless, client) = (connect(&street.main).await, connect(&street.main).await);
    let many = "insert into tollgate.usage select (jsonb_populate_record(u, jsonb_build_object(
          'request_id', gen_random_uuid(), 'arrived_at', now() + n * interval '1 second'))).*
        from tollgate.usage u, generate_series(1, 700) n
        where u.request_id = (select request_id from tollgate.usage where organization_id = $1 order by arrived_at limit 1)";
    client.execute(many, &[&id.as_uuid()]).await.unwrap();
    for to in [Place::Schema, far()] {
        endless.batch_execute("begin; select from tollgate.settings for update").await.unwrap();
        let given_up = mover.move_to(id, &to).await.unwrap_err();
        assert!(matches!(given_up, MoveError::Writers(_)), "{given_up}");
        endless.batch_execute("commit").await.unwrap();
        for change in [
            many,
            // Late, and before what was copied.
            "insert into tollgate.audit_events select (jsonb_populate_record(a, jsonb_build_object(
                 'request_id', gen_random_uuid(), 'arrived_at', now() - interval '1 day'))).*
               from tollgate.audit_events a where organization_id = $1 limit 1",
            "update tollgate.memberships set user_id = user_id || 'x', role = 'viewer' where organization_id = $1",
            "update tollgate.credit_holds set status = 'expired', refund = amount where organization_id = $1",
            "update tollgate.guardrails set name = name || 'x' where organization_id = $1",
            "insert into tollgate.teams select organization_id, gen_random_uuid(), gen_random_uuid()::text from tollgate.organizations where organization_id = $1",
        ] {
            client.execute(change, &[&id.as_uuid()]).await.unwrap();
        }
        if to == Place::Schema {
            // The copy that was begun is undone; the next one begins in another place.
            mover.abort(id).await.unwrap();
        }
    }
    let before = everything(&street, id, &Place::Row).await;
    assert!(before.len() > 2_000);
    let copied = mover.move_to(id, &far()).await.unwrap().unwrap();
    assert!(copied.rows_held_up < 700, "{copied:?}");
    assert_eq!(everything(&street, id, &far()).await, before);
}

/// Has every row of a table changed on its way in (`insert`), or kept where it is (`delete`), until it is told to stop.
async fn meddle(client: &Client, table: &str, event: &str, with: &str) {
    let sql = format!(
        "create function public.meddle() returns trigger language plpgsql as $$ begin {with} end $$;
         create trigger meddle before {event} on tollgate.{table} for each row execute function public.meddle()"
    );
    client.batch_execute(&sql).await.unwrap();
}

async fn stop_meddling(client: &Client) {
    client.batch_execute("drop function public.meddle() cascade").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_not_the_same_moves_nobody() {
    let street = Street::open().await;
    let (id, mover) = (street.resident().await, street.mover());
    let before = everything(&street, id, &Place::Row).await;
    let client = connect(&street.far).await;
    for (table, with) in [
        // Copied while calls are held up; and ahead, in ranges.
        (
            "memberships",
            "new.role := case new.role when 'admin' then 'viewer' else 'admin' end; return new;",
        ),
        ("usage", "new.latency_ms := new.latency_ms + 1; return new;"),
        // Not even there.
        ("memberships", "return null;"),
        ("usage", "return null;"),
    ] {
        meddle(&client, table, "insert", with).await;
        let refused = mover.move_to(id, &far()).await.unwrap_err();
        assert!(
            matches!(&refused, MoveError::Differs(differs) if differs == table),
            "{table}, {with}: {refused}"
        );
        // Calls go on where they were.
        let standing = street.operator().places().whereabouts(id).await.unwrap();
        assert_eq!((standing.place, standing.held_up), (Place::Row, false), "{table}");
        assert_eq!(everything(&street, id, &Place::Row).await, before, "{table}");
        stop_meddling(&client).await;
        // What has arrived as it is would not be copied again.
        mover.abort(id).await.unwrap();
    }
    mover.move_to(id, &far()).await.unwrap().unwrap();
    assert_eq!(everything(&street, id, &far()).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_is_not_over_while_rows_are_left_in_the_old_place() {
    let street = Street::open().await;
    let (id, mover) = (street.resident().await, street.mover());
    let before = everything(&street, id, &Place::Row).await;
    let client = connect(&street.main).await;
    meddle(&client, "memberships", "delete", "return null;").await;
    let left = mover.move_to(id, &far()).await.unwrap_err();
    assert!(
        matches!(&left, MoveError::Left { table, rows: 1 } if table == "memberships"),
        "{left}"
    );
    // It has moved all the same; what is to do yet is kept, and done by the next run.
    let standing = street.operator().places().whereabouts(id).await.unwrap();
    assert_eq!((standing.place, standing.moved_from), (far(), Some(Place::Row)));
    assert_eq!(everything(&street, id, &far()).await, before);
    stop_meddling(&client).await;
    assert_eq!(mover.move_to(id, &far()).await.unwrap(), None);
    let standing = street.operator().places().whereabouts(id).await.unwrap();
    assert_eq!((standing.place, standing.moved_from), (far(), None));
    // The directory's own row.
    let (client, schema) = street.look(id, &Place::Row).await;
    assert_eq!(rows_in(&client, &schema, id).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memberships_of_litellm_go_into_a_schema_and_into_no_further_database() {
    let street = Street::open().await;
    let (id, mover) = (paid(&street).await, street.mover());
    let theirs = r#"create table public."LiteLLM_OrganizationMembership" (user_id text, organization_id text, user_role text)"#;
    connect(&street.main).await.batch_execute(theirs).await.unwrap();
    membership::read_from(&street.main, Membership::Litellm).await.unwrap();
    let refused = mover.move_to(id, &far()).await.unwrap_err();
    assert!(matches!(&refused, MoveError::Memberships(source) if source == "litellm"), "{refused}");
    let new = OrganizationId::new(Uuid::now_v7());
    let refused = mover.create(new, "New", "UTC", &far()).await.unwrap_err();
    assert!(matches!(refused, MoveError::Memberships(_)), "{refused}");
    let standing = street.operator().places().whereabouts(id).await.unwrap();
    assert_eq!((standing.place, standing.held_up), (Place::Row, false));
    mover.abort(id).await.unwrap();
    mover.move_to(id, &Place::Schema).await.unwrap().unwrap();
}
