//! Who is stopped by a switch of their own user, team or key changes nothing of the organization, whatever their role.

use tokio_postgres::Client;
use tollgate::{
    Tenant,
    domain::{
        ids::{KeyId, OrganizationId, TeamId},
        role::Role,
    },
};
use uuid::Uuid;

use super::{
    fixture::{Fixture, Postgres},
    isolation::{enter, touched},
};

/// An organization with a row in every table, and its owner.
async fn organization(client: &Client) -> Tenant {
    let id = OrganizationId::new(Uuid::now_v7());
    let rows = include_str!("canaries.sql").replace(":organization", &format!("'{id}'::uuid"));
    client.batch_execute(&rows).await.unwrap();
    let (team, key) = (TeamId::new(Uuid::now_v7()), KeyId::new(Uuid::now_v7()));
    Tenant::new(id, "ann").with_role(Role::Owner).with_team(team).with_key(key)
}

async fn switch(client: &Client, who: &Tenant, scope: &str, id: &str) {
    let sql =
        "insert into tollgate.kill_switches (organization_id, scope, scope_id) values ($1, $2, $3)";
    client.execute(sql, &[&who.organization_id().as_uuid(), &scope, &id]).await.unwrap();
}

async fn clear(client: &Client, who: &Tenant) {
    let sql = "delete from tollgate.kill_switches where organization_id = $1";
    client.execute(sql, &[&who.organization_id().as_uuid()]).await.unwrap();
}

/// Every change that the role may make by its rights, found in the catalog, for the rows of its own organization.
async fn changes(client: &Client, role: &str, organization: OrganizationId) -> Vec<String> {
    let sql = "
        select format('update tollgate.%I set %I = %I where organization_id = %L', c.relname, a.attname, a.attname, $2::text)
          from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
          where c.relnamespace = 'tollgate'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
            and has_column_privilege('tollgate_' || $1, c.oid, a.attnum, 'update')
        union all
        select format('delete from tollgate.%I where organization_id = %L', c.relname, $2::text)
          from pg_class c
          where c.relnamespace = 'tollgate'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
            and has_table_privilege('tollgate_' || $1, c.oid, 'delete')";
    let rows = client.query(sql, &[&role, &organization.to_string()]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn who_is_stopped_as_a_person_in_a_team_or_by_a_key_changes_nothing() {
    let f = Postgres::start().await;
    let client = f.database.connect().await.unwrap();
    let ann = organization(&client).await;
    let id = ann.organization_id();
    for (role, word) in [(Role::Owner, "owner"), (Role::Admin, "admin")] {
        let ann = ann.clone().with_role(role);
        let own = [
            ("user", "ann".to_owned()),
            ("team", ann.team_id().unwrap().to_string()),
            ("key", ann.key_id().unwrap().to_string()),
        ];
        let changes = changes(&client, word, id).await;
        assert!(changes.len() > 10, "{changes:?}");
        let add = |scope: &str, of: &str| {
            format!(
                "insert into tollgate.kill_switches (organization_id, scope, scope_id) values ('{id}', '{scope}', '{of}')"
            )
        };
        for (scope, of) in &own {
            clear(&client, &ann).await;
            switch(&client, &ann, scope, of).await;
            switch(&client, &ann, "user", "bob").await;
            enter(&client, &ann, word).await;
            let lift = format!(
                "delete from tollgate.kill_switches where scope = '{scope}' and scope_id = '{of}'"
            );
            let statements =
                changes.iter().cloned().chain([lift, add("organization", ""), add("user", "carl")]);
            for sql in statements {
                assert_eq!(touched(&client, &sql).await, 0, "{word}, stopped by {scope}: {sql}");
            }
            // They see why.
            assert_eq!(touched(&client, "select from tollgate.kill_switches").await, 2);
            client.batch_execute("rollback").await.unwrap();
        }
        // The same statements work for whoever is not stopped, also if somebody else is, or the whole organization.
        clear(&client, &ann).await;
        switch(&client, &ann, "user", "bob").await;
        switch(&client, &ann, "organization", "").await;
        enter(&client, &ann, word).await;
        let mut worked = 0;
        for sql in &changes {
            client.batch_execute("savepoint one").await.unwrap();
            worked += client.execute(sql, &[]).await.map_or(0, |rows| rows.min(1));
            client.batch_execute("rollback to savepoint one").await.unwrap();
        }
        assert!(worked > 10, "{word}: {worked}");
        let all = "delete from tollgate.kill_switches";
        assert_eq!(touched(&client, all).await, 2, "{word}");
        assert_eq!(touched(&client, &add("team", "x")).await, 1, "{word}");
        client.batch_execute("rollback").await.unwrap();
    }
}

#[tokio::test]
async fn members_and_viewers_turn_no_switch_at_all() {
    let f = Postgres::start().await;
    let client = f.database.connect().await.unwrap();
    let ann = organization(&client).await;
    let id = ann.organization_id();
    for (role, word) in [(Role::Member, "member"), (Role::Viewer, "viewer")] {
        enter(&client, &ann.clone().with_role(role), word).await;
        for sql in [
            format!(
                "insert into tollgate.kill_switches (organization_id, scope, scope_id) values ('{id}', 'organization', '')"
            ),
            "delete from tollgate.kill_switches".to_owned(),
            "update tollgate.kill_switches set reason = 'x'".to_owned(),
        ] {
            assert_eq!(touched(&client, &sql).await, 0, "{word}: {sql}");
        }
        client.batch_execute("rollback").await.unwrap();
    }
}

#[tokio::test]
async fn the_same_ids_in_another_organization_stop_nobody_here() {
    let f = Postgres::start().await;
    let client = f.database.connect().await.unwrap();
    let (ann, other) = (organization(&client).await, organization(&client).await);
    switch(&client, &other, "user", "ann").await;
    switch(&client, &other, "team", &ann.team_id().unwrap().to_string()).await;
    enter(&client, &ann, "owner").await;
    assert_eq!(touched(&client, "delete from tollgate.settings").await, 1);
    client.batch_execute("rollback").await.unwrap();
}
