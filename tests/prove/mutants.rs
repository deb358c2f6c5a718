//! Every policy, right, flag, key and function of the schema is weakened once, and the proof names it.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Client;
use tollgate::postgres::{
    cluster::testing,
    prove::{Extent, Finding},
};

use super::{after, sealed_database};

/// A change, the object that a finding must name, and what it must say of it.
pub(crate) struct Mutant {
    pub(crate) sql: String,
    pub(crate) object: String,
    pub(crate) says: String,
}

impl Mutant {
    fn is_named_by(&self, finding: &Finding) -> bool {
        let rest = finding.object.strip_prefix(self.object.as_str());
        let is_it = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        is_it && finding.message.contains(&self.says)
    }
}

/// The mutants of a query, by their families: name of the family, change, object, and what is said of it.
async fn families(client: &Client, query: &str) -> BTreeMap<String, Vec<Mutant>> {
    let mut families: BTreeMap<String, Vec<Mutant>> = BTreeMap::new();
    for row in client.query(query, &[]).await.unwrap() {
        let mutant = Mutant { sql: row.get(1), object: row.get(2), says: row.get(3) };
        families.entry(row.get(0)).or_default().push(mutant);
    }
    families
}

/// All mutants of a family are looked at together: each must be named, by a finding that can be of no other.
pub(crate) async fn all_are_caught(client: &Client, query: &str, families_min: usize) {
    let families = families(client, query).await;
    assert!(families.len() >= families_min, "{:?}", families.keys());
    for (family, mutants) in families {
        let names: BTreeSet<_> = mutants.iter().map(|one| (&one.object, &one.says)).collect();
        assert_eq!(names.len(), mutants.len(), "{family}: one could hide behind another");
        let sql: Vec<_> = mutants.iter().map(|mutant| mutant.sql.as_str()).collect();
        let proof = after(client, &sql.join("; "), Extent::Catalog).await;
        let caught = |mutant: &&Mutant| proof.findings.iter().any(|one| mutant.is_named_by(one));
        let alive: Vec<_> = mutants.iter().filter(|mutant| !caught(mutant)).collect();
        let alive: Vec<_> = alive.iter().map(|mutant| mutant.sql.as_str()).collect();
        eprintln!("{family}: {} mutants, {} caught", mutants.len(), mutants.len() - alive.len());
        assert!(alive.is_empty(), "{family}:\n{}\n{proof}", alive.join("\n"));
    }
}

const POLICIES: &str = "
  with p as (
    select p.polname, c.relname, p.polcmd, p.polroles[1]::regrole::text as role,
           case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' end as verb,
           p.polroles[1] = c.relowner as is_owners, c.relname in ('prices', 'price_tiers', 'seal_keys', 'schema_history') as reference
      from pg_policy p join pg_class c on c.oid = p.polrelid where c.relnamespace = 'tollgate'::regnamespace)
  select 'policies dropped', format('drop policy %I on tollgate.%I', polname, relname), relname::text,
         -- An owner needs no right that could be left without a policy.
         case when is_owners then 'is missing: ' || polname else format('%s may %s, and no policy of that verb is for this role', role, verb) end from p
  union all
  select 'policies for everybody', format('alter policy %I on tollgate.%I to public', polname, relname), relname || '.' || polname, 'is for PUBLIC' from p
  union all
  select 'policies: ' || weak, format('alter policy %I on tollgate.%I %s %s', polname, relname,
                case when polcmd <> 'a' then format('using (%s)', weak) end, case when polcmd in ('a', 'w') then format('with check (%s)', weak) end),
         relname || '.' || polname, case when relname = 'seal_keys' then 'lets everything through' when weak = 'true' then 'lets everything through: true' else 'does not ask what the claims say' end
    from p cross join (values ('true', true), ('organization_id is not null', false)) as w (weak, everywhere)
    where everywhere or not reference";

#[tokio::test]
async fn every_policy_dropped_or_weakened_is_found() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    all_are_caught(&client, POLICIES, 4).await;
}

/// The policy no longer asks for the role in the claims: only trying shows it. All of a table are loose at once, and
/// each must let something through.
const ROLES: &str = "
  with p as (
    select p.polname, c.relname, p.polroles[1]::regrole::text as role,
           case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' end as verb,
           pg_get_expr(p.polqual, p.polrelid) as qual, pg_get_expr(p.polwithcheck, p.polrelid) as checks
      from pg_policy p join pg_class c on c.oid = p.polrelid
      where c.relnamespace = 'tollgate'::regnamespace and c.relname not in ('prices', 'price_tiers')
        -- A row of somebody in particular is somebody's own.
        and coalesce(pg_get_expr(p.polqual, p.polrelid), '') || coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '') ~ '(current_org_role|is_platform)'
        and coalesce(pg_get_expr(p.polqual, p.polrelid), '') !~ '(status|scope) = '),
  loose as (
    select polname, relname, role, verb,
           regexp_replace(regexp_replace(qual, '\\( SELECT (tollgate\\.)?current_org_role\\(\\) AS current_org_role\\) = ''\\w+''::text', 'true'),
                          '\\( SELECT (tollgate\\.)?is_platform\\(\\) AS is_platform\\)', 'true') as qual,
           regexp_replace(regexp_replace(checks, '\\( SELECT (tollgate\\.)?current_org_role\\(\\) AS current_org_role\\) = ''\\w+''::text', 'true'),
                          '\\( SELECT (tollgate\\.)?is_platform\\(\\) AS is_platform\\)', 'true') as checks from p)
  select relname::text, format('alter policy %I on tollgate.%I%s%s', polname, relname, ' using (' || qual || ')', ' with check (' || checks || ')'),
         role, verb from loose";

#[tokio::test]
async fn every_policy_that_forgets_the_role_is_found() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    let tables = families(&client, ROLES).await;
    assert!(tables.len() > 20, "{:?}", tables.keys());
    for (table, mutants) in tables {
        let sql: Vec<_> = mutants.iter().map(|mutant| mutant.sql.as_str()).collect();
        let proof = after(&client, &sql.join("; "), Extent::Table(&table)).await;
        for Mutant { sql, object: role, says: verb } in &mutants {
            let ways = [format!("{role} gets {verb} past"), format!(" rows by {verb}")];
            let through = proof.findings.iter().any(|one| {
                let of_it =
                    one.code == "P02" && one.object == table && one.message.starts_with(role);
                of_it && (one.message.starts_with(&ways[0]) || one.message.ends_with(&ways[1]))
            });
            assert!(through, "{sql}\n{proof}");
        }
        eprintln!("{table}: {0} mutants, {0} caught", mutants.len());
    }
}

/// Every verb on every table, taken from who has it and given to who has not.
const RIGHTS: &str = "
  with t as (select oid, relname, relowner, relacl, relispartition from pg_class
             where relnamespace = 'tollgate'::regnamespace and relkind in ('r', 'p')),
  have as (
    select t.oid, a.grantee, a.privilege_type as verb, null::name as col from t cross join lateral aclexplode(t.relacl) a where a.grantee <> t.relowner
    union all
    select t.oid, a.grantee, a.privilege_type, c.attname from t join pg_attribute c on c.attrelid = t.oid cross join lateral aclexplode(c.attacl) a),
  verb as (select unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) as verb),
  role as (select oid, rolname from pg_roles where rolname ~ '^tollgate_' and rolname <> 'tollgate_migrator' union all select 0, 'public')
  select 'rights taken',
         format('revoke %s on tollgate.%I from %s', string_agg(distinct verb || coalesce(' (' || quote_ident(col) || ')', ''), ', '), relname, grantee::regrole),
         format('%s.%s_%s_%s', relname, relname, lower(verb), replace(substr(grantee::regrole::text, 10), 'rls_', '')), 'lets a role do what it has no right to'
    from have join t using (oid) group by relname, grantee, verb
  union all
  select 'rights given', format('grant %s on tollgate.%I to %s', verb, relname, rolname), relname::text,
         format(case when verb in ('SELECT', 'INSERT', 'UPDATE', 'DELETE') then '%s may %s, and no policy of that verb is for this role' else '%s has %s' end,
                replace(rolname, 'public', 'PUBLIC'), case when verb in ('SELECT', 'INSERT', 'UPDATE', 'DELETE') then lower(verb) else verb end)
    from t cross join verb cross join role
    where not exists (select from have where have.oid = t.oid and have.grantee = role.oid and have.verb = verb.verb)
      and (not relispartition or (verb = 'SELECT' and rolname in ('public', 'tollgate_member')) or (verb = 'TRUNCATE' and rolname = 'tollgate_login'))
  union all
  select 'rights given to be handed on', format('grant select on tollgate.%I to tollgate_member with grant option', relname), relname::text,
         'tollgate_member may hand on its right to select' from t where not relispartition";

#[tokio::test]
async fn every_right_taken_or_added_is_found() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    all_are_caught(&client, RIGHTS, 3).await;
}

const FLAGS: &str = "
  select change, format('alter table tollgate.%I %s', relname, change), relname::text, says
    from pg_class cross join (values ('no force row level security', 'row security is not forced'), ('disable row level security', 'row security is off'),
                                     ('owner to current_user', 'belongs to ')) as c (change, says)
    where relnamespace = 'tollgate'::regnamespace and relkind in ('r', 'p')
      and not (relispartition and change ~ 'owner')";

#[tokio::test]
async fn every_table_whose_row_security_is_off_or_not_forced_is_found() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    all_are_caught(&client, FLAGS, 3).await;
}

const KEYS: &str = "
  with k as (
    select t.relname, i.relname as key, c.conname, c.contype, x.indexrelid, row_number() over (order by i.relname) as n,
           (select string_agg(quote_ident(a.attname), ', ' order by u.n) from unnest(x.indkey) with ordinality u (attnum, n)
              join pg_attribute a on a.attrelid = t.oid and a.attnum = u.attnum where a.attname <> 'organization_id') as others
      from pg_index x join pg_class t on t.oid = x.indrelid join pg_class i on i.oid = x.indexrelid
        left join pg_constraint c on c.conindid = x.indexrelid and c.contype in ('p', 'u')
      where t.relnamespace = 'tollgate'::regnamespace and not t.relispartition and x.indisunique
        and t.relname not in ('schema_history', 'prices', 'price_tiers', 'seal_keys')),
  grown as (select relname from pg_class where relkind = 'p'),
  missing as (
    select k.*, 'has no ' || replace(regexp_replace(pg_get_indexdef(indexrelid), '^CREATE (UNIQUE INDEX) \\S+ ON (ONLY )?\\S+', '\\1'), 'tollgate.', '') as says
      from k where conname is null)
  select 'no primary key', format('alter table tollgate.%I drop constraint %I cascade', relname, conname), relname::text, 'has no primary key' from k where contype = 'p'
  union all
  select 'unique without the organization', format('create unique index mutant_%s on tollgate.%I (%s)', n, relname, others),
         format('%s.mutant_%s', relname, n), 'is unique over all organizations' from k
    where others is not null and relname not in (select relname from grown)
  union all
  select 'the organization comes last', format('create unique index mutant_%s on tollgate.%I (%s, organization_id)', n, relname, others),
         format('%s.mutant_%s', relname, n), 'is unique over all organizations' from k where others is not null
  union all
  select 'no organization is allowed', format('alter table tollgate.%I drop constraint %I cascade, alter column organization_id drop not null', relname, conname),
         relname::text, 'has no column organization_id uuid not null' from k where contype = 'p'
  union all
  select 'references without the organization',
         format('create table tollgate.mutant_%s (organization_id uuid not null, id uuid not null, other uuid, primary key (organization_id, id)); '
                'create unique index on tollgate.%I (%s); alter table tollgate.mutant_%s add constraint astray foreign key (other) references tollgate.%I (%s)',
                n, relname, others, n, relname, others), format('mutant_%s.astray', n), 'may point at a row of another organization in ' || relname from k
    where others !~ ',' and others ~ '_id$' and contype = 'p' and others <> 'user_id' and relname not in (select relname from grown)
  union all
  select 'exclusions without the organization', format('alter table tollgate.%I add constraint mutant_%s exclude (%s with =)', relname, n, others),
         format('%s.mutant_%s', relname, n), 'is unique over all organizations' from k
    where others !~ ',' and relname not in (select relname from grown)
  union all
  select 'references that are not valid', format('alter table tollgate.%I drop constraint %I; alter table tollgate.%I add constraint %I %s not valid',
                t.relname, f.conname, t.relname, f.conname, pg_get_constraintdef(f.oid)), t.relname || '.' || f.conname, 'is not valid'
    from pg_constraint f join pg_class t on t.oid = f.conrelid
    where t.relnamespace = 'tollgate'::regnamespace and f.contype = 'f' and t.relkind = 'r' and not t.relispartition and t.relname <> 'price_tiers'
  union all
  select 'constraints dropped', format('alter table tollgate.%I drop constraint if exists %I cascade', t.relname, f.conname), t.relname::text,
         'has no ' || replace(pg_get_constraintdef(f.oid), 'tollgate.', '')
    from pg_constraint f join pg_class t on t.oid = f.conrelid
    where t.relnamespace = 'tollgate'::regnamespace and f.contype in ('f', 'u') and not t.relispartition and f.conparentid = 0
  union all
  select 'indexes dropped', format('drop index tollgate.%I', key), relname::text, says from missing
  union all
  select 'indexes that are not unique', format('drop index tollgate.%I; create index on tollgate.%I (organization_id, %s)', key, relname, others),
         relname::text, says from missing";

#[tokio::test]
async fn every_key_without_the_organization_is_found() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    all_are_caught(&client, KEYS, 10).await;
}

const FUNCTIONS: &str = "
  with f as (select oid::regprocedure::text as signature, prosecdef from pg_proc where pronamespace = 'tollgate'::regnamespace)
  select 'functions: ' || change, format('alter function %s %s', signature, change), signature, says
    from f cross join (values ('leakproof', 'is LEAKPROOF', true), ('owner to current_user', 'belongs to ', true),
                              ('owner to tollgate_platform', 'belongs to tollgate_platform', true), ('reset search_path', 'search_path is not pinned', false),
                              ('set search_path = public', 'search_path is not pinned', false)) as c (change, says, everywhere)
    where everywhere or prosecdef
  union all
  select 'functions for everybody', format('grant execute on function %s to public', signature), signature, 'may be called by PUBLIC' from f";

#[tokio::test]
async fn every_function_with_loose_rights_is_found() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    all_are_caught(&client, FUNCTIONS, 6).await;
}

/// Verification of sealed claims that forgets something: a function, the text that is replaced in it, by what, and
/// what is then found, among more.
pub(crate) const FORGETFUL: &[(&str, &str, &str, &str)] = &[
    // Everything.
    (
        "unsealed(text)",
        "if found",
        "if true or found",
        "P06 usage: tollgate_owner reaches 1 rows by select with claims sealed with an unknown key",
    ),
    // The digest.
    (
        "unsealed(text)",
        "and sha256(convert_to(encode",
        "and true or sha256(convert_to(encode",
        "P06 usage: tollgate_owner reaches 1 rows by select with claims sealed with a key that is not the one it names",
    ),
    // Either end of its time.
    (
        "unsealed(text)",
        "between v_now::text and",
        "between '0000000000000' and",
        "P06 usage: tollgate_owner reaches 1 rows by select with claims whose seal has expired",
    ),
    (
        "unsealed(text)",
        "(v_now + 300000)::text",
        "'9999999999999'",
        "P06 usage: tollgate_owner reaches 1 rows by select with claims whose seal is of a time to come",
    ),
    // Those who should ask for all that.
    (
        "verified(text)",
        "tollgate.unsealed(p_claims)",
        "nullif(p_claims, '')::jsonb",
        "P06 usage: tollgate_owner reaches 1 rows by select with claims without a seal",
    ),
    (
        "jwt()",
        "tollgate.verified(current_setting('request.jwt.claims'::text, true))",
        "nullif(current_setting('request.jwt.claims', true), '')::jsonb",
        "P06 usage: tollgate_owner reaches 1 rows by select with claims without a seal",
    ),
    (
        "enter(uuid, text)",
        "tollgate.verified(p_claims)",
        "p_claims::jsonb",
        "P06 tollgate.give_back(uuid,text,uuid[]): takes claims without a seal as tollgate_login",
    ),
];

#[tokio::test]
async fn every_seal_that_is_not_verified_in_full_is_found() {
    let (database, _) = sealed_database().await;
    let client = database.connect().await.unwrap();
    let mut caught = 0;
    for (function, part, instead, found) in FORGETFUL {
        let sql = format!(
            "do $mutant$ declare whole text := pg_get_functiondef('tollgate.{function}'::regprocedure); \
             begin if strpos(whole, $part${part}$part$) = 0 then raise exception '%', whole; end if; \
               execute replace(whole, $part${part}$part$, $part${instead}$part$); end $mutant$"
        );
        // The functions of the ledger are what `enter` stands before; tables are behind the others.
        let extent =
            if function.starts_with("enter") { Extent::Functions } else { Extent::Table("usage") };
        let proof = after(&client, &sql, extent).await;
        let lines = proof.findings.iter();
        let mut lines = lines.map(|one| format!("{} {}: {}", one.code, one.object, one.message));
        assert!(lines.any(|line| line == *found), "{found}\n{sql}\n{proof}");
        caught += 1;
        // Production, where nothing is written, shows all but what only a function's caller sees.
        if !function.starts_with("enter") {
            let proof = after(&client, &sql, Extent::ReadOnly).await;
            let taken = proof.findings.iter().any(|one| {
                let of_claims = one.code == "P06" && one.object == "current_organization_id()";
                of_claims && one.message.starts_with("takes claims ")
            });
            assert!(taken, "{sql}\n{proof}");
        }
    }
    eprintln!("seals: {caught} mutants, {caught} caught");
    for extent in [Extent::Table("usage"), Extent::Functions] {
        let proof = after(&client, "select", extent).await;
        assert!(proof.holds(), "{proof}");
    }
}
