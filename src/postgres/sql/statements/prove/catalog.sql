-- Checks the catalog for everything that would break isolation: one row for each finding, none if everything holds.
-- $1 tables that belong to no organization; $2 the history of migrations; $3 functions that may bypass row security; $4
-- unique indexes that may be global; $5 functions of the ledger that put no claims into force; $6 functions that need
-- not check whether the organization is being moved; $7 functions of the role that reads the keys of seals; $8 of the
-- role that reads LiteLLM's table; $9 what functions may use that is not ours: `function schema.name`.
-- C22 gives the expressions that call a function; the program checks where in the expression the call is.
with recursive
space as (select oid, nspname, nspowner, nspacl from pg_namespace where nspname = 'tollgate'),
role as (
  select oid, rolname, rolname = 'tollgate_rls_helper' as helper, rolname = 'tollgate_migrator' as migrator
    from pg_roles
    where rolname in ('tollgate_migrator', 'tollgate_login', 'tollgate_owner', 'tollgate_admin', 'tollgate_member', 'tollgate_viewer',
                      'tollgate_platform', 'tollgate_ledger', 'tollgate_mover', 'tollgate_rls_helper', 'tollgate_seals', 'tollgate_litellm')),
wanted as (
  select unnest(array['tollgate_migrator', 'tollgate_login', 'tollgate_owner', 'tollgate_admin', 'tollgate_member', 'tollgate_viewer',
                      'tollgate_platform', 'tollgate_ledger', 'tollgate_mover', 'tollgate_rls_helper', 'tollgate_seals', 'tollgate_litellm']) as rolname),
rel as (select c.* from pg_class c join space on c.relnamespace = space.oid),
tab as (
  select t.oid, t.relname, t.relkind, t.relispartition, t.relrowsecurity, t.relforcerowsecurity, t.relacl, t.relowner,
         t.relname = any ($1) as reference, (select a.attnum from pg_attribute a
           where a.attrelid = t.oid and a.attname = 'organization_id' and a.atttypid = 'uuid'::regtype and a.attnotnull and not a.attisdropped) as tenant
    from rel t where t.relkind in ('r', 'p')),
pol as (
  select p.*, t.relname, t.reference, t.tenant,
         case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' end as verb,
         pg_get_expr(p.polqual, p.polrelid) as qual, pg_get_expr(p.polwithcheck, p.polrelid) as checks
    from pg_policy p join tab t on t.oid = p.polrelid),
acl as (
  select t.oid, t.relname, t.relkind, a.grantee, lower(a.privilege_type) as verb, a.is_grantable, null::name as attname
    from rel t cross join lateral aclexplode(t.relacl) a where a.grantee <> t.relowner
  union all
  select t.oid, t.relname, t.relkind, a.grantee, lower(a.privilege_type), a.is_grantable, c.attname
    from rel t join pg_attribute c on c.attrelid = t.oid and c.attacl is not null cross join lateral aclexplode(c.attacl) a
    where a.grantee <> t.relowner),
fun as (select p.* from pg_proc p join space on p.pronamespace = space.oid),
facl as (
  select p.oid, p.proowner, a.grantee, a.is_grantable
    from fun p cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee <> p.proowner),
-- Dependencies: of tables, on the tables that they reference and on what their policies, checks and defaults use; of
-- functions, on what their bodies are bound to.
edge (dependent_class, dependent, class, object) as (
  select 'pg_class'::regclass, k.conrelid, 'pg_class'::regclass, k.confrelid
    from pg_constraint k join tab t on t.oid = k.conrelid where k.contype = 'f' and k.conrelid <> k.confrelid and not t.relispartition
  union
  select 'pg_class'::regclass, p.polrelid, d.refclassid::regclass, d.refobjid
    from pg_policy p join tab t on t.oid = p.polrelid join pg_depend d on d.classid = 'pg_policy'::regclass and d.objid = p.oid and d.refobjid <> p.polrelid
    where d.refclassid in ('pg_class'::regclass, 'pg_proc'::regclass)
  union
  select 'pg_class'::regclass, k.conrelid, d.refclassid::regclass, d.refobjid
    from pg_constraint k join tab t on t.oid = k.conrelid join pg_depend d on d.classid = 'pg_constraint'::regclass and d.objid = k.oid
    where d.refclassid = 'pg_proc'::regclass
  union
  select 'pg_class'::regclass, a.adrelid, d.refclassid::regclass, d.refobjid
    from pg_attrdef a join tab t on t.oid = a.adrelid join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = a.oid
    where d.refclassid = 'pg_proc'::regclass
  union
  select 'pg_proc'::regclass, f.oid, d.refclassid::regclass, d.refobjid
    from fun f join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = f.oid
    where d.refclassid in ('pg_class'::regclass, 'pg_proc'::regclass)),
reached (dependent_class, dependent, class, object) as (
  select * from edge
  union
  select r.dependent_class, r.dependent, e.class, e.object
    from reached r join edge e on e.dependent_class = r.class and e.dependent = r.object),
-- What our functions name, or are bound to, outside this schema and the server's own.
named as (
  select f.oid as fun, f.proname, n.oid as space, replace(m[2], '"', '') as name
    from fun f cross join lateral regexp_matches(f.prosrc, '(\m[a-z_]\w*|"[^"]+")\s*\.\s*("[^"]+"|[a-z_]\w*)', 'gi') as m
      join pg_namespace n on n.nspname in (replace(m[1], '"', ''), lower(m[1]))
    where n.nspname not in ('pg_catalog', 'information_schema')),
used as (
  select n.fun, n.proname, 'pg_class'::regclass as class, c.oid as object
    from named n join pg_class c on c.relnamespace = n.space and c.relname in (n.name, lower(n.name)) and c.relkind not in ('i', 'I', 'c')
  union
  select n.fun, n.proname, 'pg_proc'::regclass, p.oid
    from named n join pg_proc p on p.pronamespace = n.space and p.proname in (n.name, lower(n.name))
  union
  select f.oid, f.proname, d.refclassid::regclass, d.refobjid
    from fun f join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = f.oid
    where d.refclassid in ('pg_class'::regclass, 'pg_proc'::regclass)),
theirs as (
  select u.fun, u.proname, u.class, u.object, n.nspname, c.relname as name, c.relowner as owner,
         c.relkind <> 'r' or c.relrowsecurity or c.relhasrules
           or exists (select from pg_index i where i.indrelid = c.oid and (i.indpred is not null or i.indexprs is not null))
           or exists (select from pg_constraint k where k.conrelid = c.oid and k.contype = 'c')
           or exists (select from pg_statistic_ext s where s.stxrelid = c.oid and s.stxexprs is not null) as runs_code
    from used u join pg_class c on u.class = 'pg_class'::regclass and c.oid = u.object join pg_namespace n on n.oid = c.relnamespace
  union all
  select u.fun, u.proname, u.class, u.object, n.nspname, p.proname, p.proowner, false
    from used u join pg_proc p on u.class = 'pg_proc'::regclass and p.oid = u.object join pg_namespace n on n.oid = p.pronamespace),
-- What a session of the gateways' login logs of statements: the settings of this login, or else of the server.
of_login (name, value) as (
  select g.name, coalesce(
           (select split_part(setting, '=', 2) from pg_db_role_setting s join role r on r.oid = s.setrole and r.rolname = 'tollgate_login'
              cross join lateral unnest(s.setconfig) as setting
              where s.setdatabase in (0, (select oid from pg_database where datname = current_database())) and split_part(setting, '=', 1) = g.name
              order by s.setdatabase desc limit 1),
           (select split_part(setting, '=', 2) from pg_db_role_setting s cross join lateral unnest(s.setconfig) as setting
              where s.setrole = 0 and s.setdatabase in (0, (select oid from pg_database where datname = current_database())) and split_part(setting, '=', 1) = g.name
              order by s.setdatabase desc limit 1),
           g.reset_val)
    from pg_settings g
    where g.name in ('log_parameter_max_length', 'log_parameter_max_length_on_error', 'log_statement', 'log_min_duration_statement',
                     'log_min_duration_sample', 'log_transaction_sample_rate', 'log_error_verbosity', 'auto_explain.log_min_duration', 'pgaudit.log_parameter')),
person as (select * from role where rolname in ('tollgate_owner', 'tollgate_admin', 'tollgate_member', 'tollgate_viewer', 'tollgate_platform')),
found (code, object, detail) as (
  select 'C01', relname::text, case when relrowsecurity then 'row security is not forced' else 'row security is off' end
    from tab where not (relrowsecurity and relforcerowsecurity)
  union all
  select 'C02', relname::text, 'has no column organization_id uuid not null' from tab where tenant is null and not reference
  union all
  select 'C03', a.relname || coalesce('.' || a.attname, ''),
         format('%s may %s, and no policy of that verb is for this role', coalesce(r.rolname, case when a.grantee = 0 then 'PUBLIC' else a.grantee::regrole::text end), a.verb)
    from acl a join tab t on t.oid = a.oid left join role r on r.oid = a.grantee
    where a.verb in ('select', 'insert', 'update', 'delete')
      -- NOT IN, because it is hashed whatever the planner expects.
      and (a.oid, a.verb, a.grantee) not in (
        select p.polrelid, p.verb, p.polroles[1] from pol p where p.verb is not null and cardinality(p.polroles) = 1 and p.polpermissive)
  union all
  select 'C03', a.relname || coalesce('.' || a.attname, ''), format('%s may hand on its right to %s', a.grantee::regrole, a.verb)
    from acl a where a.is_grantable
  union all
  select 'C03', a.relname::text, format('%s may %s the history of migrations', case when a.grantee = 0 then 'PUBLIC' else a.grantee::regrole::text end, a.verb)
    from acl a where a.relname = any ($2)
      and not (a.verb = 'select' and a.grantee in (select oid from role where rolname = 'tollgate_login'))
  union all
  select 'C03', 'schema_history', format('is not as it must be, or is missing: %s', w.name)
    from (values ('schema_history_select_login', 'r', '{tollgate_login}', '(version IS NOT NULL)', null),
                 ('schema_history_select_migrator', 'r', '{tollgate_migrator}', '(version IS NOT NULL)', null),
                 ('schema_history_insert_migrator', 'a', '{tollgate_migrator}', null, '(version IS NOT NULL)')) as w (name, verb, roles, qual, checks)
    where not exists (
      select from pol p where p.relname = 'schema_history'
        and (p.polname::text, p.polcmd::text, p.polroles::regrole[]::text) = (w.name, w.verb, w.roles)
        and (p.qual, p.checks) is not distinct from (w.qual, w.checks))
  union all
  select 'C04', relname || '.' || polname,
         case when verb is null then 'is for all verbs' when polroles = '{0}' then 'is for PUBLIC'
              when cardinality(polroles) > 1 then 'is for several roles'
              else format('is not named after its table, verb and role: %s_%s_%s', relname, verb,
                          (select case when r.helper then 'helper' else substr(r.rolname, 10) end from role r where r.oid = polroles[1])) end
    from pol
    where verb is null or polroles = '{0}' or cardinality(polroles) > 1
      or polname <> coalesce((select format('%s_%s_%s', relname, verb, case when r.helper then 'helper' else substr(r.rolname, 10) end)
                                from role r where r.oid = polroles[1]), '')
  union all
  select 'C04', p.relname || '.' || p.polname, 'is one of several for the same verb and role: either is enough'
    from pol p where exists (select from pol q where q.polrelid = p.polrelid and q.oid <> p.oid and q.polpermissive and p.polpermissive
                               and q.polroles && p.polroles and (q.polcmd = p.polcmd or '*' in (q.polcmd, p.polcmd)))
  union all
  select 'C05', relname || '.' || polname, 'does not read organization_id'
    from pol
    where not reference and not exists (
      select from pg_depend d where d.classid = 'pg_policy'::regclass and d.objid = pol.oid
        and d.refclassid = 'pg_class'::regclass and d.refobjid = polrelid and d.refobjsubid = pol.tenant)
  union all
  select 'C05', relname || '.' || polname, 'does not ask what the claims say'
    from pol
    where not (reference and verb = 'select') and not (relname = 'seal_keys' or relname = any ($2)) and not exists (
      select from pg_depend d join fun on fun.oid = d.refobjid
        where d.classid = 'pg_policy'::regclass and d.objid = pol.oid and d.refclassid = 'pg_proc'::regclass
          and (fun.proname in ('current_organization_id', 'is_platform')
            -- The ledger's functions verify the claims once, for all their statements.
            or (fun.proname = 'entered_organization_id' and pol.polroles = array(select oid from role where rolname = 'tollgate_ledger'))))
  union all
  select 'C05', relname || '.' || polname, 'reads claims that nobody has verified'
    from pol
    where polroles <> array(select oid from role where rolname = 'tollgate_ledger') and exists (
      select from pg_depend d join fun on fun.oid = d.refobjid
        where d.classid = 'pg_policy'::regclass and d.objid = pol.oid and d.refclassid = 'pg_proc'::regclass
          and fun.proname = 'entered_organization_id')
  union all
  select 'C05', relname || '.' || polname, format('lets everything through: %s', text)
    from pol cross join lateral (values ('using', qual), ('with check', checks)) as side (name, text)
    where text = 'true'
  union all
  select 'C06', relname || '.' || polname, 'has no WITH CHECK' from pol where verb in ('insert', 'update') and polwithcheck is null
  union all
  select 'C07', w.rolname, 'is missing' from wanted w where not exists (select from role where role.rolname = w.rolname)
  union all
  select 'C07', r.rolname::text, format('has %s', attribute)
    from pg_roles r join role on role.oid = r.oid
    cross join lateral (values ('SUPERUSER', r.rolsuper), ('BYPASSRLS', r.rolbypassrls and not role.helper), ('REPLICATION', r.rolreplication),
                               ('CREATEROLE', r.rolcreaterole), ('CREATEDB', r.rolcreatedb),
                               ('LOGIN', r.rolcanlogin and r.rolname <> 'tollgate_login'),
                               ('INHERIT', r.rolinherit and r.rolname = 'tollgate_login')) as has (attribute, it)
    where has.it
  union all
  select 'C07', t.relname::text, format('belongs to %s, not to tollgate_migrator', t.relowner::regrole)
    from rel t where t.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and t.relowner not in (select oid from role where migrator)
  union all
  select 'C07', 'schema tollgate', format('belongs to %s, not to tollgate_migrator', nspowner::regrole)
    from space where nspowner not in (select oid from role where migrator)
  union all
  select 'C08', r.rolname::text, format('can become %s', x.rolname)
    from role r join pg_roles own on own.oid = r.oid and not own.rolsuper join pg_roles x on x.oid <> r.oid
    where pg_has_role(r.oid, x.oid, 'MEMBER')
      and not (r.rolname = 'tollgate_login' and x.oid in (select oid from person))
      and not (r.migrator and x.rolname in ('tollgate_ledger', 'tollgate_mover', 'tollgate_rls_helper', 'tollgate_seals', 'tollgate_litellm'))
  union all
  -- Since Postgres 16 a membership may inherit even if the login has NOINHERIT.
  select 'C08', r.rolname::text, format('has the rights of %s without becoming it', x.rolname)
    from role r join person x on r.rolname = 'tollgate_login' join pg_roles own on own.oid = r.oid and not own.rolsuper
    where pg_has_role(r.oid, x.oid, 'USAGE')
  union all
  select 'C08', r.rolname::text, format('may hand on %s', x.rolname)
    from role r join pg_roles own on own.oid = r.oid and not own.rolsuper join pg_roles x on x.oid <> r.oid
    where pg_has_role(r.oid, x.oid, 'MEMBER WITH ADMIN OPTION')
  union all
  select 'C09', relname || coalesce('.' || attname, ''), format('%s has %s', case when grantee = 0 then 'PUBLIC' else grantee::regrole::text end, upper(verb))
    from acl where relkind in ('r', 'p') and verb not in ('select', 'insert', 'update', 'delete')
  union all
  select distinct 'C10', format('%I.%I', n.nspname, v.relname), 'reads with the rights of its owner: security_invoker is off'
    from pg_class v join pg_namespace n on n.oid = v.relnamespace
    where v.relkind = 'v' and not coalesce(v.reloptions::text ~ 'security_invoker=(true|on|1|yes)', false)
      and (n.nspname = 'tollgate' or exists (
        select from pg_rewrite w join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_class'::regclass
          join tab on tab.oid = d.refobjid where w.ev_class = v.oid))
  union all
  select distinct 'C11', format('%I.%I', n.nspname, v.relname),
         case v.relkind when 'm' then 'is a materialized view: it has the rows of all organizations' else 'is a foreign table: it has no row security' end
    from pg_class v join pg_namespace n on n.oid = v.relnamespace
    where v.relkind in ('m', 'f')
      and (n.nspname = 'tollgate' or exists (
        select from pg_rewrite w join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_class'::regclass
          join tab on tab.oid = d.refobjid where w.ev_class = v.oid))
  union all
  select 'C12', oid::regprocedure::text, 'runs with its owner''s rights and finds its names where the caller says: search_path is not pinned'
    from fun where prosecdef and not coalesce('search_path=pg_catalog, pg_temp' = any (proconfig), false)
  union all
  select 'C12', oid::regprocedure::text, format('belongs to %s', proowner::regrole)
    from fun where proowner not in (select oid from role where rolname in ('tollgate_migrator', 'tollgate_ledger'))
      and not (proowner in (select oid from role where helper) and proname = any ($3))
      and not (proowner in (select oid from role where rolname = 'tollgate_seals') and proname = any ($7))
      and not (proowner in (select oid from role where rolname = 'tollgate_litellm') and proname = any ($8))
  union all
  select 'C12', oid::regprocedure::text, format('may be called by %s', case when grantee = 0 then 'PUBLIC' else grantee::regrole::text end)
    from facl where grantee not in (select oid from role)
  union all
  select 'C13', oid::regprocedure::text, 'is LEAKPROOF: it may be called before the policy' from fun where proleakproof
  union all
  select 'C14', t.relname || '.' || i.relname, 'is unique over all organizations: organization_id does not lead it'
    from tab t join pg_index x on x.indrelid = t.oid join pg_class i on i.oid = x.indexrelid
    where (x.indisunique or x.indisexclusion) and not t.reference and t.tenant is not null and x.indkey[0] <> t.tenant and not i.relname = any ($4)
  union all
  select 'C14', t.relname || '.' || k.conname, 'excludes rows of other organizations: it compares organization_id by something else than ='
    from tab t join pg_constraint k on k.conrelid = t.oid
    where k.conexclop is not null and not t.reference and k.conkey[1] = t.tenant and k.conexclop[1] <> '=(uuid,uuid)'::regoperator
  union all
  select 'C14', t.relname::text, 'has no primary key'
    from tab t where not exists (select from pg_index x where x.indrelid = t.oid and x.indisprimary)
  union all
  select 'C15', t.relname || '.' || k.conname, format('may point at a row of another organization in %s', p.relname)
    from pg_constraint k join tab t on t.oid = k.conrelid join tab p on p.oid = k.confrelid
    where k.contype = 'f' and not t.reference and not p.reference
      and not exists (select from unnest(k.conkey, k.confkey) as pair (here, there) where pair.here = t.tenant and pair.there = p.tenant)
  union all
  -- NOT ENFORCED exists since Postgres 18. Read by to_jsonb, because the catalog of older servers lacks the column.
  select 'C15', t.relname || '.' || k.conname,
         case when to_jsonb(k) ->> 'conenforced' = 'false' then 'is not enforced: rows may point anywhere' else 'is not valid: rows that were there may point anywhere' end
    from pg_constraint k join tab t on t.oid = k.conrelid
    where k.contype = 'f' and not t.reference and (not k.convalidated or to_jsonb(k) ->> 'conenforced' = 'false')
  union all
  select 'C16', a.relname::text, format('%s has %s: it says how much others write', case when a.grantee = 0 then 'PUBLIC' else a.grantee::regrole::text end, upper(a.verb))
    from acl a where a.relkind = 'S'
  union all
  select distinct 'C17', p.pubname || ': ' || p.tablename, 'is published past row security' from pg_publication_tables p where p.schemaname = 'tollgate'
  union all
  select 'C17', pubname::text, 'publishes all tables past row security' from pg_publication where puballtables
  union all
  select 'C18', format('schema %I', n.nspname), format('%s may create objects in it', r.rolname)
    from pg_namespace n cross join role r join pg_roles own on own.oid = r.oid and not own.rolsuper
    where has_schema_privilege(r.oid, n.oid, 'CREATE') and n.nspname !~ '^pg_(toast_)?temp_' and not (r.migrator and n.nspowner = r.oid)
  union all
  select 'C18', 'schema tollgate', format('%s has %s on it', case when a.grantee = 0 then 'PUBLIC' else a.grantee::regrole::text end, a.privilege_type)
    from space cross join lateral aclexplode(space.nspacl) a
    where a.grantee <> space.nspowner and (a.grantee not in (select oid from role) or a.is_grantable or a.privilege_type <> 'USAGE')
  union all
  select 'C19', t.relname || '.' || g.tgname, 'is a trigger: it runs in other people''s statements'
    from tab t join pg_trigger g on g.tgrelid = t.oid where not g.tgisinternal
  union all
  select 'C19', t.relname || '.' || w.rulename, 'is a rule: it rewrites other people''s statements' from tab t join pg_rewrite w on w.ev_class = t.oid
  union all
  -- The event exists since Postgres 17.
  select 'C19', 'event trigger ' || evtname, 'runs at every login, before the first statement' from pg_event_trigger where evtevent = 'login'
  union all
  select 'C20', coalesce(r.rolname::text, 'database ' || current_database()), format('changes how statements are read: %s', split_part(setting, '=', 1))
    from pg_db_role_setting s left join role r on r.oid = s.setrole cross join lateral unnest(s.setconfig) as setting
    where (s.setrole = 0 or r.oid is not null) and s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
      and setting ~* '^(row_security|search_path|role|session_replication_role|session_preload_libraries|local_preload_libraries|request\..*)='
  union all
  select 'C21', format('what %s makes%s', d.defaclrole::regrole, case when d.defaclnamespace = 0 then '' else ' in tollgate' end),
         format('is at once open to %s: %s', case when a.grantee = 0 then 'PUBLIC' else a.grantee::regrole::text end, a.privilege_type)
    from pg_default_acl d cross join lateral aclexplode(d.defaclacl) a
    where (d.defaclnamespace in (select oid from space) or (d.defaclnamespace = 0 and d.defaclrole in (select oid from role)))
      and a.grantee <> d.defaclrole and d.defaclobjtype in ('r', 'S', 'f', 'n')
  union all
  select 'C22', relname || '.' || polname, text
    from pol cross join lateral (values (qual), (checks)) as side (text)
    where text ~ '(tollgate\w*|auth)\.\w+\('
  union all
  select 'C23', p.relname || '.' || p.polname, 'lets a role do what it has no right to: one of the two is a mistake'
    from pol p
    where p.verb is not null and (p.polrelid, p.verb, p.polroles[1]) not in (select a.oid, a.verb, a.grantee from acl a)
      -- An owner needs no grant, and forced row security binds it all the same.
      and p.polroles[1] <> (select t.relowner from tab t where t.oid = p.polrelid)
  union all
  select 'C24', a.relname || coalesce('.' || a.attname, ''),
         format('%s may %s the keys of seals', case when a.grantee = 0 then 'PUBLIC' else a.grantee::regrole::text end, a.verb)
    from acl a where a.relname = 'seal_keys' and not (a.verb = 'select' and a.grantee in (select oid from role where rolname = 'tollgate_seals'))
  union all
  select 'C24', coalesce(p.relname || '.' || p.polname, 'seal_keys'),
         case when w.name is null then 'lets somebody at the keys of seals' else format('is not as it must be, or is missing: %s', w.name) end
    from (select polname::text as name, polcmd::text as verb, polroles::regrole[]::text as roles, qual, checks, relname, polname from pol where relname = 'seal_keys') p
    full join (values ('seal_keys_select_seals', 'r', '{tollgate_seals}', '(key_id IS NOT NULL)', null),
                      ('seal_keys_insert_migrator', 'a', '{tollgate_migrator}', null, '(key_id IS NOT NULL)'),
                      ('seal_keys_delete_migrator', 'd', '{tollgate_migrator}', '(key_id IS NOT NULL)', null)) as w (name, verb, roles, qual, checks)
      on w.name = p.name
    where (p.name, p.verb, p.roles, p.qual, p.checks) is distinct from (w.name, w.verb, w.roles, w.qual, w.checks)
  union all
  select 'C24', v.signature, 'does not read the claims in the mode that sealing() says'
    from fun s cross join lateral (values ('verified(text)', 'verified', 'unsealed'), ('jwt()', 'jwt', 'verified')) as v (signature, name, asks)
    where s.proname = 'sealing' and (s.prosrc = 'select true') <> exists (
      select from pg_depend d join fun f on f.oid = d.objid join fun g on g.oid = d.refobjid
        where d.classid = 'pg_proc'::regclass and d.refclassid = 'pg_proc'::regclass and f.proname = v.name and g.proname = v.asks)
  union all
  select 'C25', f.oid::regprocedure::text, 'acts as the ledger, and does not put verified claims into force'
    from fun f
    where f.prosecdef and f.proowner in (select oid from role where rolname = 'tollgate_ledger') and f.oid in (select facl.oid from facl)
      and f.prosrc !~ '\.enter(_as_platform)?\(' and not f.proname = any ($5)
  union all
  select 'C26', t.relname::text, 'may have rows of every organization, in the schema of one'
    from tab t cross join space
    where space.nspname ~ '^tollgate_[0-9a-f]{32}$' and t.tenant is not null and not exists (
      select from pg_constraint k where k.conrelid = t.oid and k.contype = 'c' and k.convalidated
        and pg_get_constraintdef(k.oid) = format('CHECK ((organization_id = %I.only_organization()))', space.nspname))
  union all
  select 'C26', 'only_organization()', 'is not the organization that the schema is named after'
    from space
    where space.nspname ~ '^tollgate_[0-9a-f]{32}$' and not exists (
      select from fun where fun.proname = 'only_organization' and fun.pronargs = 0
        and pg_get_function_sqlbody(fun.oid) = format('RETURN %L::uuid', substr(space.nspname, 10)::uuid))
  union all
  select 'C27', t.relname::text, format('the mover may not %s: it stays behind when its organization moves', verb)
    from tab t cross join unnest(array['select', 'insert', 'delete']) as verb
    where t.tenant is not null and not t.relispartition and not exists (
      select from pol p join role r on r.oid = p.polroles[1] where p.polrelid = t.oid and p.verb = verb.verb and r.rolname = 'tollgate_mover')
  union all
  select distinct 'C28', f.oid::regprocedure::text, 'writes, and does not look whether the organization is being moved: what it writes may be lost'
    from fun f join facl on facl.oid = f.oid
    where f.proowner in (select oid from role where rolname = 'tollgate_ledger') and f.provolatile = 'v' and strpos(f.prosrc, '.stay(') = 0
      and not f.proname = any ($6)
  union all
  select 'C30', p.relname || '.' || p.polname, format('reads %s', d.refobjid::regclass)
    from pol p join pg_depend d on d.classid = 'pg_policy'::regclass and d.objid = p.oid and d.refclassid = 'pg_class'::regclass and d.refobjid <> p.polrelid
  union all
  select 'C32', t.fun::regprocedure::text,
         format('uses %s, which belongs to %s', case t.class when 'pg_class'::regclass then t.object::regclass::text else t.object::regprocedure::text end, t.owner::regrole)
    from theirs t
    -- Whoever owns what is in our schema is the subject of C07 and C12.
    where t.nspname not in ((select nspname from space), 'pg_catalog', 'information_schema')
      and t.owner not in (select oid from role) and not format('%s %s.%s', t.proname, t.nspname, t.name) = any ($9)
  union all
  select 'C32', t.fun::regprocedure::text, format('reads %s, which is no ordinary table: its owner can run code in it', t.object::regclass)
    from theirs t where t.runs_code and t.owner not in (select oid from role)
  union all
  select 'C33', a.relname || coalesce('.' || a.attname, ''), format('%s may %s it, which is not what this role is for', r.rolname, a.verb)
    from acl a join (values ('tollgate_rls_helper', 'memberships'), ('tollgate_seals', 'seal_keys'), ('tollgate_litellm', '')) as one (rolname, relname)
      on a.relname <> one.relname join role r on r.oid = a.grantee and r.rolname = one.rolname
  union all
  select 'C33', f.oid::regprocedure::text, format('may be called by %s, without a look at the claims and the table', r.rolname)
    from fun f join facl on facl.oid = f.oid join role r on r.oid = facl.grantee
    where (f.proname = 'role_by_litellm' and not r.helper) or f.proname = 'role_in'
  union all
  select 'C34', p.relname || '.' || p.polname, 'lets a person change it whom a kill switch has stopped'
    from pol p join role r on p.polroles[1] = r.oid and r.rolname in ('tollgate_owner', 'tollgate_admin')
    where p.verb in ('insert', 'update', 'delete') and not exists (
      select from pg_depend d join fun on fun.oid = d.refobjid
        where d.classid = 'pg_policy'::regclass and d.objid = p.oid and d.refclassid = 'pg_proc'::regclass and fun.proname = 'is_stopped')
  union all
  select 'C35', 'tollgate_login', format('its statements are logged with their parameters, which are prompts, answers and claims: %s = %s', l.name, l.value)
    from of_login l
    where (l.name in ('log_statement', 'log_min_duration_statement', 'log_min_duration_sample', 'log_transaction_sample_rate')
           -- DDL has no parameters. A duration of 0 is every statement, a rate of 0 is none.
           and l.value !~ case when l.name like 'log_min%' then '^-1' else '^(none|ddl|0(\.0*)?)$' end
           and exists (select from of_login m where m.name = 'log_parameter_max_length' and m.value !~ '^0+B?$'))
       or (l.name = 'log_parameter_max_length_on_error' and l.value !~ '^0+B?$')
       or (l.name = 'auto_explain.log_min_duration' and l.value !~ '^-1') or (l.name = 'pgaudit.log_parameter' and l.value ~ '^(on|true|yes|1)$')
  union all
  select 'C31', case e.dependent_class when 'pg_class'::regclass then e.dependent::regclass::text else e.dependent::regprocedure::text end,
         format('depends on %s, which depends on it', case e.class when 'pg_class'::regclass then e.object::regclass::text else e.object::regprocedure::text end)
    from edge e
    where exists (select from reached r where r.dependent_class = e.class and r.dependent = e.object and r.class = e.dependent_class and r.object = e.dependent)
)
select distinct code, object, detail from found order by code, object, detail
