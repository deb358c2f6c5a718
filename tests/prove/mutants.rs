//! Every policy, right, flag, key and function of the schema is weakened once, and the proof names it.

use tokio_postgres::Client;
use tollgate::postgres::{cluster::testing, prove::Scope};

use crate::{after, sealed_database};

/// A change, the object that a finding must name, and whether the catalog shows it by itself.
pub(crate) struct Mutant {
    pub(crate) sql: String,
    pub(crate) object: String,
    pub(crate) table: Option<String>,
}

pub(crate) async fn catalog(client: &Client, query: &str) -> Vec<Mutant> {
    let rows = client.query(query, &[]).await.unwrap();
    rows.iter()
        .map(|row| Mutant { sql: row.get(0), object: row.get(1), table: row.try_get(2).ok() })
        .collect()
}

/// Mutants of different tables do not hide each other: several are looked at together, and each must be named.
fn together(mutants: Vec<Mutant>, batch_max: usize) -> Vec<Vec<Mutant>> {
    let mut batches: Vec<Vec<Mutant>> = Vec::new();
    for mutant in mutants {
        let room = batches.iter_mut().find(|batch| {
            batch.len() < batch_max
                && batch.iter().all(|other| other.relation() != mutant.relation())
        });
        match room {
            Some(batch) => batch.push(mutant),
            None => batches.push(vec![mutant]),
        }
    }
    batches
}

impl Mutant {
    fn relation(&self) -> &str {
        self.object.split('.').next().unwrap_or_default()
    }

    fn is_named_by(&self, object: &str, alone: bool) -> bool {
        let rest = object.strip_prefix(self.object.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            || (alone && object.contains(&self.object))
    }
}

pub(crate) async fn all_are_caught(
    what: &str,
    client: &Client,
    mutants: Vec<Mutant>,
    batch_max: usize,
) {
    let count = mutants.len();
    let mut alive = Vec::new();
    for batch in together(mutants, batch_max) {
        let scope = match batch.as_slice() {
            [Mutant { table: Some(table), .. }] => Scope::Table(table),
            _ => Scope::Catalog,
        };
        let sql: Vec<_> = batch.iter().map(|mutant| mutant.sql.as_str()).collect();
        let proof = after(client, &sql.join("; "), scope).await;
        for mutant in &batch {
            if !proof.findings.iter().any(|one| mutant.is_named_by(&one.object, batch.len() == 1)) {
                alive.push(format!("{}\n{proof}", mutant.sql));
            }
        }
    }
    eprintln!("{what}: {count} mutants, {} caught", count - alive.len());
    assert!(count > 0, "{what}: there is nothing to weaken");
    assert!(alive.is_empty(), "{what}:\n{}", alive.join("\n"));
}

const POLICIES: &str = "
  with p as (
    select p.polname, c.relname, p.polcmd, array_to_string(array(select r::regrole::text from unnest(p.polroles) r), ',') as role,
           c.relname in ('prices', 'price_tiers', 'seal_keys') as reference
      from pg_policy p join pg_class c on c.oid = p.polrelid where c.relnamespace = 'tollgate'::regnamespace)
  select format('drop policy %I on tollgate.%I', polname, relname), relname::text from p
  union all
  select format('alter policy %I on tollgate.%I to public', polname, relname), relname || '.' || polname from p
  union all
  select format('alter policy %I on tollgate.%I %s %s', polname, relname,
                case when polcmd <> 'a' then format('using (%s)', weak) end, case when polcmd in ('a', 'w') then format('with check (%s)', weak) end),
         relname || '.' || polname
    from p cross join (values ('true', true), ('organization_id is not null', false)) as w (weak, everywhere)
    where everywhere or not reference";

#[tokio::test]
async fn every_policy_dropped_or_weakened_is_found() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    let mutants = catalog(&client, POLICIES).await;
    all_are_caught("policies", &client, mutants, 24).await;
}

/// The policy no longer asks for the role in the claims: only trying shows it.
const ROLES: &str = "
  with p as (
    select p.polname, c.relname, pg_get_expr(p.polqual, p.polrelid) as qual, pg_get_expr(p.polwithcheck, p.polrelid) as checks
      from pg_policy p join pg_class c on c.oid = p.polrelid
      where c.relnamespace = 'tollgate'::regnamespace and c.relname not in ('prices', 'price_tiers')
        -- A row of somebody in particular is somebody's own.
        and coalesce(pg_get_expr(p.polqual, p.polrelid), '') || coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '') ~ '(current_org_role|is_platform)'
        and coalesce(pg_get_expr(p.polqual, p.polrelid), '') !~ '(status|scope) = '),
  loose as (
    select polname, relname, regexp_replace(regexp_replace(qual, '\\( SELECT (tollgate\\.)?current_org_role\\(\\) AS current_org_role\\) = ''\\w+''::text', 'true'),
                                            '\\( SELECT (tollgate\\.)?is_platform\\(\\) AS is_platform\\)', 'true') as qual,
           regexp_replace(regexp_replace(checks, '\\( SELECT (tollgate\\.)?current_org_role\\(\\) AS current_org_role\\) = ''\\w+''::text', 'true'),
                          '\\( SELECT (tollgate\\.)?is_platform\\(\\) AS is_platform\\)', 'true') as checks from p)
  select format('alter policy %I on tollgate.%I%s%s', polname, relname, ' using (' || qual || ')', ' with check (' || checks || ')'),
         relname::text, relname::text from loose";

#[tokio::test]
async fn every_policy_that_forgets_the_role_is_found() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    let mutants = catalog(&client, ROLES).await;
    all_are_caught("roles in policies", &client, mutants, 1).await;
}

const RIGHTS: &str = "
  with t as (select oid, relname, relowner, relacl, relispartition from pg_class
             where relnamespace = 'tollgate'::regnamespace and relkind in ('r', 'p') and relname <> 'schema_history'),
  have as (
    select t.oid, a.grantee, a.privilege_type as verb, null::name as col from t cross join lateral aclexplode(t.relacl) a where a.grantee <> t.relowner
    union all
    select t.oid, a.grantee, a.privilege_type, c.attname from t join pg_attribute c on c.attrelid = t.oid cross join lateral aclexplode(c.attacl) a),
  verb as (select unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) as verb),
  role as (select oid, rolname from pg_roles where rolname ~ '^tollgate_' and rolname <> 'tollgate_migrator')
  select format('revoke %s on tollgate.%I from %s', string_agg(distinct verb || coalesce(' (' || quote_ident(col) || ')', ''), ', '), relname, grantee::regrole), relname::text
    from have join t using (oid) group by relname, grantee, verb
  union all
  select format('grant %s on tollgate.%I to %s', verb, relname, rolname), relname::text
    from t cross join verb cross join role
    where not exists (select from have where have.oid = t.oid and have.grantee = role.oid and have.verb = verb.verb)
      -- Each verb on each table, to a few roles in turn.
      and (hashtext(relname || verb) + role.oid::int8) % 3 = 0
      and (not relispartition or (verb = 'SELECT' and rolname = 'tollgate_member') or (verb = 'TRUNCATE' and rolname = 'tollgate_login'))
  union all
  select format('grant select on tollgate.%I to public', relname), relname::text from t
  union all
  select format('grant select on tollgate.%I to tollgate_member with grant option', relname), relname::text from t where not relispartition";

#[tokio::test]
async fn every_right_taken_or_added_is_found() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    let mutants = catalog(&client, RIGHTS).await;
    all_are_caught("rights", &client, mutants, 24).await;
}

const FLAGS: &str = "
  select format('alter table tollgate.%I %s', relname, change), relname::text
    from pg_class cross join unnest(array['no force row level security', 'disable row level security', 'owner to postgres']) as change
    where relnamespace = 'tollgate'::regnamespace and relkind in ('r', 'p') and relname <> 'schema_history'
      and not (relispartition and change ~ 'owner')";

#[tokio::test]
async fn every_table_whose_row_security_is_off_or_not_forced_is_found() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    let owner: String = client.query_one("select current_user::text", &[]).await.unwrap().get(0);
    let mutants = catalog(&client, &FLAGS.replace("postgres", &owner)).await;
    all_are_caught("flags and owners", &client, mutants, 24).await;
}

const KEYS: &str = "
  with k as (
    select t.relname, i.relname as key, c.conname, c.contype,
           (select string_agg(quote_ident(a.attname), ', ' order by u.n) from unnest(x.indkey) with ordinality u (attnum, n)
              join pg_attribute a on a.attrelid = t.oid and a.attnum = u.attnum where a.attname <> 'organization_id') as others
      from pg_index x join pg_class t on t.oid = x.indrelid join pg_class i on i.oid = x.indexrelid
        left join pg_constraint c on c.conindid = x.indexrelid and c.contype in ('p', 'u')
      where t.relnamespace = 'tollgate'::regnamespace and not t.relispartition and x.indisunique
        and t.relname not in ('schema_history', 'prices', 'price_tiers', 'seal_keys'))
  select format('alter table tollgate.%I drop constraint %I cascade', relname, conname), relname::text from k where contype = 'p'
  union all
  select format('create unique index mutant on tollgate.%I (%s)', relname, others), relname || '.mutant' from k
    where others is not null and relname not in (select relname from pg_class where relkind = 'p')
  union all
  select format('create unique index mutant on tollgate.%I (%s, organization_id)', relname, others), relname || '.mutant' from k where others is not null
  union all
  select format('alter table tollgate.%I alter column organization_id drop not null', relname), relname::text
    from (select distinct relname from k where relname not in (select t.relname from pg_class t where t.relispartition)) as t
    where false
  union all
  select format('create table tollgate.mutant (organization_id uuid not null, id uuid not null, other %s, primary key (organization_id, id)); '
                'alter table tollgate.mutant owner to tollgate_migrator; '
                'create unique index on tollgate.%I (%s); alter table tollgate.mutant add constraint astray foreign key (other) references tollgate.%I (%s)',
                'uuid', relname, others, relname, others), 'mutant.astray' from k
    where others !~ ',' and others ~ '_id$' and contype = 'p' and others <> 'user_id' and relname not in (select relname from pg_class where relkind = 'p')
  union all
  select format('alter table tollgate.%I add constraint mutant exclude (%s with =)', relname, others), relname || '.mutant' from k
    where others !~ ',' and relname not in (select relname from pg_class where relkind = 'p')
  union all
  select format('alter table tollgate.%I drop constraint %I; alter table tollgate.%I add constraint %I %s not valid',
                t.relname, f.conname, t.relname, f.conname, pg_get_constraintdef(f.oid)), t.relname || '.' || f.conname
    from pg_constraint f join pg_class t on t.oid = f.conrelid
    where t.relnamespace = 'tollgate'::regnamespace and f.contype = 'f' and t.relkind = 'r' and not t.relispartition and t.relname <> 'price_tiers'
  union all
  select format('alter table tollgate.%I drop constraint %I cascade', t.relname, f.conname), t.relname::text
    from pg_constraint f join pg_class t on t.oid = f.conrelid
    where t.relnamespace = 'tollgate'::regnamespace and f.contype in ('f', 'u') and not t.relispartition and f.conparentid = 0
  union all
  select format('drop index tollgate.%I', key), relname::text from k where conname is null
  union all
  select format('drop index tollgate.%I; create index on tollgate.%I (organization_id, %s)', key, relname, others), relname::text from k where conname is null";

#[tokio::test]
async fn every_key_without_the_organization_is_found() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    let mutants = catalog(&client, KEYS).await;
    all_are_caught("keys", &client, mutants, 1).await;
}

const FUNCTIONS: &str = "
  select format('alter function %s %s', p.oid::regprocedure, change), p.oid::regprocedure::text
    from pg_proc p cross join unnest(array['leakproof', 'owner to postgres', 'owner to tollgate_platform']) as change where p.pronamespace = 'tollgate'::regnamespace
  union all
  select format('alter function %s reset search_path', p.oid::regprocedure), p.oid::regprocedure::text
    from pg_proc p where p.pronamespace = 'tollgate'::regnamespace and p.prosecdef
  union all
  select format('alter function %s set search_path = public', p.oid::regprocedure), p.oid::regprocedure::text
    from pg_proc p where p.pronamespace = 'tollgate'::regnamespace and p.prosecdef
  union all
  select format('grant execute on function %s to public', p.oid::regprocedure), p.oid::regprocedure::text
    from pg_proc p where p.pronamespace = 'tollgate'::regnamespace";

#[tokio::test]
async fn every_function_with_loose_rights_is_found() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    let owner: String = client.query_one("select current_user::text", &[]).await.unwrap().get(0);
    let mutants = catalog(&client, &FUNCTIONS.replace("postgres", &owner)).await;
    all_are_caught("functions", &client, mutants, 1).await;
}

/// Holes beside what is there: the statement, and what a finding must name.
const PLANTED: &[(&str, &str)] = &[
    ("create view tollgate.seen as select * from tollgate.usage", "tollgate.seen"),
    ("create view public.seen as select * from tollgate.usage", "public.seen"),
    ("create materialized view public.kept as select * from tollgate.usage", "public.kept"),
    ("create publication leak for table tollgate.organizations", "leak"),
    ("create publication leak for all tables", "leak"),
    (
        "create sequence tollgate.numbers; grant usage on sequence tollgate.numbers to tollgate_member",
        "numbers",
    ),
    (
        "alter default privileges for role tollgate_migrator in schema tollgate grant select on tables to tollgate_member",
        "tollgate_migrator",
    ),
    (
        "alter default privileges for role tollgate_migrator grant execute on functions to tollgate_member",
        "tollgate_migrator",
    ),
    (
        "create rule copied as on insert to tollgate.memberships do also select 1",
        "memberships.copied",
    ),
    (
        "create function public.t() returns trigger language plpgsql as 'begin return new; end'; \
      create trigger copied before insert on tollgate.memberships for each row execute function public.t()",
        "memberships.copied",
    ),
    ("alter role tollgate_member set row_security = off", "tollgate_member"),
    ("alter role tollgate_login set \"request.jwt.claims\" = '{}'", "tollgate_login"),
    ("alter role tollgate_login set search_path = public", "tollgate_login"),
    ("alter role tollgate_member bypassrls", "tollgate_member"),
    ("alter role tollgate_ledger superuser", "tollgate_ledger"),
    ("alter role tollgate_platform createrole", "tollgate_platform"),
    ("alter role tollgate_login inherit", "tollgate_login"),
    ("alter role tollgate_owner login", "tollgate_owner"),
    ("alter role tollgate_rls_helper replication", "tollgate_rls_helper"),
    ("grant tollgate_migrator to tollgate_login", "tollgate_login"),
    ("grant tollgate_owner to tollgate_member", "tollgate_member"),
    ("grant tollgate_member to tollgate_login with admin option", "tollgate_login"),
    ("grant pg_read_all_data to tollgate_viewer", "tollgate_viewer"),
    ("grant create on schema tollgate to tollgate_member", "schema tollgate"),
    ("grant usage on schema tollgate to public", "schema tollgate"),
    ("grant create on schema public to tollgate_ledger", "schema public"),
    (
        "create policy \"both\" on tollgate.usage for all to tollgate_member using (organization_id = (select tollgate.current_organization_id()))",
        "usage.both",
    ),
    (
        "create policy usage_select_two on tollgate.usage for select to tollgate_owner, tollgate_admin \
      using (organization_id = (select tollgate.current_organization_id()))",
        "usage.usage_select_two",
    ),
    (
        "alter policy usage_select_owner on tollgate.usage using (organization_id = tollgate.current_organization_id())",
        "usage.usage_select_owner",
    ),
    (
        "alter policy policies_update_owner on tollgate.policies rename to something",
        "policies.something",
    ),
    ("create table tollgate.notes (id uuid primary key)", "notes"),
    ("grant update on tollgate.schema_history to tollgate_login", "schema_history"),
    ("grant select on tollgate.schema_history to public", "schema_history"),
    (
        "grant select (key_id, inner_pad) on tollgate.seal_keys to tollgate_platform",
        "seal_keys.inner_pad",
    ),
    ("revoke select on tollgate.seal_keys from tollgate_rls_helper", "seal_keys"),
    ("alter table tollgate.seal_keys drop constraint seal_keys_pkey", "seal_keys"),
    (
        "create policy seal_keys_select_platform on tollgate.seal_keys for select to tollgate_platform using (key_id is not null)",
        "seal_keys.seal_keys_select_platform",
    ),
    ("create view public.keys as select * from tollgate.seal_keys", "public.keys"),
    (
        "alter policy usage_select_owner on tollgate.usage using (organization_id = (select tollgate.entered_organization_id()))",
        "usage.usage_select_owner",
    ),
    (
        "create function tollgate.unentered(p_organization_id uuid, p_claims text) returns bigint language sql stable security definer \
      set search_path = pg_catalog, pg_temp as 'select count(*) from tollgate.usage where organization_id = p_organization_id'; \
      revoke all on function tollgate.unentered(uuid, text) from public; grant execute on function tollgate.unentered(uuid, text) to tollgate_login; \
      alter function tollgate.unentered(uuid, text) owner to tollgate_ledger",
        "tollgate.unentered",
    ),
    (
        "create or replace function tollgate.sealing() returns boolean language sql stable as 'select true'",
        "verified(text)",
    ),
];

#[tokio::test]
async fn every_hole_beside_the_schema_is_found() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    let mutants = PLANTED.iter().map(|(sql, object)| Mutant {
        sql: (*sql).to_owned(),
        object: (*object).to_owned(),
        table: None,
    });
    all_are_caught("holes", &client, mutants.collect(), 1).await;
}

/// Functions that forget to ask: only calling them shows it.
const CARELESS: &[(&str, &str)] = &[
    (
        "create or replace function tollgate.is_org_member(p_organization_id uuid) returns boolean language sql stable security definer \
      set search_path = pg_catalog, pg_temp as 'select true'",
        "is_org_member",
    ),
    (
        "create or replace function tollgate.get_org_role(p_organization_id uuid) returns text language sql stable security definer \
      set search_path = pg_catalog, pg_temp as 'select role from tollgate.memberships where organization_id = p_organization_id'",
        "get_org_role",
    ),
    (
        "create or replace function tollgate.enter(p_organization_id uuid, p_claims text) returns void language plpgsql \
      set search_path = pg_catalog, pg_temp as $$ begin \
      perform set_config('request.jwt.claims', jsonb_build_object('organization_id', p_organization_id)::text, true); end $$",
        "hold",
    ),
    (
        "create function tollgate.gone() returns void language sql security definer set search_path = pg_catalog, pg_temp \
      as 'delete from tollgate.usage'; grant execute on function tollgate.gone() to tollgate_member",
        "gone",
    ),
    (
        "create function tollgate.shown() returns setof text language sql security definer set search_path = pg_catalog, pg_temp \
      as 'select user_id from tollgate.usage'; grant execute on function tollgate.shown() to tollgate_member",
        "shown",
    ),
    (
        "create or replace function tollgate.current_organization_id() returns uuid language sql stable \
      return (select organization_id from tollgate.organizations limit 1)",
        "P0",
    ),
];

#[tokio::test]
async fn every_careless_function_is_found_by_calling_it() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    for (sql, object) in CARELESS {
        let scope = if *object == "P0" { Scope::Table("usage") } else { Scope::Functions };
        let proof = after(&client, sql, scope).await;
        let found = proof
            .findings
            .iter()
            .any(|one| one.object.contains(object) || one.code.starts_with(object));
        assert!(
            found && proof.findings.iter().any(|one| one.code.starts_with('P')),
            "{sql}\n{proof}"
        );
    }
}

/// Verification of sealed claims that forgets something: a function, the text that is replaced in it, and by what.
const FORGETFUL: &[(&str, &str, &str)] = &[
    // Everything.
    ("unsealed(text)", "if found", "if true or found"),
    // The digest.
    ("unsealed(text)", "and sha256(convert_to(encode", "and true or sha256(convert_to(encode"),
    // Either end of its time.
    ("unsealed(text)", "between v_now::text and", "between '0000000000000' and"),
    ("unsealed(text)", "(v_now + 300000)::text", "'9999999999999'"),
    // Those who should ask for all that.
    ("verified(text)", "tollgate.unsealed(p_claims)", "nullif(p_claims, '')::jsonb"),
    (
        "jwt()",
        "tollgate.verified(current_setting('request.jwt.claims'::text, true))",
        "nullif(current_setting('request.jwt.claims', true), '')::jsonb",
    ),
    ("enter(uuid, text)", "tollgate.verified(p_claims)", "p_claims::jsonb"),
];

#[tokio::test]
async fn every_seal_that_is_not_verified_in_full_is_found() {
    let (database, _) = sealed_database().await;
    let client = database.connect().await.unwrap();
    let mut caught = 0;
    for (function, part, instead) in FORGETFUL {
        let sql = format!(
            "do $mutant$ declare whole text := pg_get_functiondef('tollgate.{function}'::regprocedure); \
             begin if strpos(whole, $part${part}$part$) = 0 then raise exception '%', whole; end if; \
               execute replace(whole, $part${part}$part$, $part${instead}$part$); end $mutant$"
        );
        // The functions of the ledger are what `enter` stands before; tables are behind the others.
        let scope =
            if function.starts_with("enter") { Scope::Functions } else { Scope::Table("usage") };
        let proof = after(&client, &sql, scope).await;
        assert!(proof.findings.iter().any(|one| one.code == "P06"), "{sql}\n{proof}");
        caught += 1;
        // Production, where nothing is written, shows all but what only a function's caller sees.
        if !function.starts_with("enter") {
            let proof = after(&client, &sql, Scope::ReadOnly).await;
            assert!(proof.findings.iter().any(|one| one.code == "P06"), "{sql}\n{proof}");
        }
    }
    eprintln!("seals: {caught} mutants, {caught} caught");
    for scope in [Scope::Table("usage"), Scope::Functions] {
        let proof = after(&client, "select", scope).await;
        assert!(proof.holds(), "{proof}");
    }
}
