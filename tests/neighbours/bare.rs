//! Changes to a scratch database: walls taken out, and a look at every connection that is used.

use tokio_postgres::Client;
use tollgate::postgres::{Pool, PoolConfig, PostgresError, Query};

use super::harness::House;

/// What a careless statement would leave behind: claims, a role, a transaction.
const CARELESS: [Query; 3] = [
    Query::new("select set_config('request.jwt.claims', '{}', false)", &[]),
    Query::new("set role tollgate_member", &[]),
    Query::new("begin", &[]),
];
/// Calls one of the functions of a gateway, for nobody.
const CALL: Query = Query::new(
    "select tollgate.standing('00000000-0000-0000-0000-000000000000', '{\"organization_id\": \"00000000-0000-0000-0000-000000000000\"}')",
    &[],
);

/// That [`probe_checkouts`] sees each of them on the connection's next ways out of the pool.
pub(crate) async fn notices_what_is_left(house: House) {
    for careless in &CARELESS {
        let mut one = PoolConfig::new(house.login.clone());
        one.connections_max = 1;
        let pool = Pool::connect(one).unwrap();
        pool.rows(&CALL, &[]).await.unwrap();
        pool.rows(careless, &[]).await.unwrap();
        let mut noticed = false;
        for _ in 0..2 {
            if let Err(error) = pool.rows(&CALL, &[]).await {
                let said = PostgresError::of(&error).unwrap().to_string();
                // Under another role, the function is not even its to call.
                assert!(said.contains("handed out with") || said.contains("denied"), "{said}");
                noticed = true;
            }
        }
        assert!(noticed, "nobody noticed: {}", careless.sql());
    }
    house.close().await;
}

/// A comparison of organizations, as our functions write it.
const PREDICATE: &str = r"(\w+\.)?organization_id\s*=\s*(\w+\.|p_)organization_id";

/// Takes every comparison of organizations out of the functions that row security binds. Those of the helper
/// stay: it is the one role that reads past the policies, and there the comparison is the wall.
pub(crate) async fn strip_predicates(admin: &Client) {
    let strip = format!(
        "do $strip$
         declare f record;
         begin
           for f in select pg_get_functiondef(oid) as body from pg_proc
                      where pronamespace = 'tollgate'::regnamespace and prokind = 'f'
                        and proowner = 'tollgate_ledger'::regrole
           loop
             execute regexp_replace(f.body, '{PREDICATE}', 'true', 'g');
           end loop;
         end $strip$"
    );
    let count = format!(
        "select coalesce(sum(regexp_count), 0) from (
           select (select count(*) from regexp_matches(prosrc, '{PREDICATE}', 'g')) as regexp_count
             from pg_proc where pronamespace = 'tollgate'::regnamespace
               and proowner = 'tollgate_ledger'::regrole) as each"
    );
    let left = async || -> i64 {
        let row = admin.query_one(&format!("select ({count})::bigint"), &[]).await.unwrap();
        row.get(0)
    };
    let before = left().await;
    assert!(before > 20, "there was something to take out: {before}");
    admin.batch_execute(&strip).await.unwrap();
    assert_eq!(left().await, 0);
}

/// From now on every function that a gateway calls first looks at the connection it came on: no role, no claims and
/// no transaction may be there yet. Counts past transactions, because a fault rolls them back.
pub(crate) async fn probe_checkouts(admin: &Client) {
    let probe = r"
        create sequence public.checkouts;
        create sequence public.left_over;
        grant usage on sequence public.checkouts, public.left_over to public;
        do $probe$
        declare
          enter text := pg_get_functiondef('tollgate.enter(uuid, text)'::regprocedure);
          look constant text := $look$begin
            if session_user = 'tollgate_login' then
              -- The claims are set by each call until its transaction ends: one that is still open shows by them.
              if nullif(current_setting('request.jwt.claims', true), '') is not null
                  or current_setting('role') <> 'none' or pg_current_xact_id_if_assigned() is not null then
                perform nextval('public.left_over');
                raise exception 'the connection was handed out with % as %', current_setting('request.jwt.claims', true), current_setting('role');
              end if;
              perform nextval('public.checkouts');
            end if;$look$;
          probed constant text := regexp_replace(enter, '\mbegin\M', look);
        begin
          if probed = enter then
            raise exception 'there is nothing to look through';
          end if;
          execute probed;
        end $probe$";
    admin.batch_execute(probe).await.unwrap();
}

/// How many checkouts were looked at; none of them had anything left over.
pub(crate) async fn clean_checkouts(admin: &Client) -> i64 {
    let sql = "select c.last_value * c.is_called::int, l.last_value * l.is_called::int
                 from public.checkouts c, public.left_over l";
    let row = admin.query_one(sql, &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(1), 0, "connections handed out with something left over");
    row.get(0)
}
