-- How claims are read where they count without a seal. claims_sealed.sql has the same three functions for a database
-- that takes sealed claims only; one of the two files is in force. Takes no parameters.

-- The claims, from one transaction-local setting. If Supabase has a reader of its own and all of our roles may use it,
-- that reader is called. A migration keeps the reader that is in force: a reader is chosen only if there is none yet,
-- or if claims had to be sealed until now.
--
-- Settings read '', and not NULL, once a transaction has set them locally.
do $claims$
declare
  from_supabase boolean;
begin
  select j.prosrc = 'select auth.jwt()' into from_supabase
    from pg_catalog.pg_proc j
    where j.oid = to_regprocedure('tollgate.jwt()') and not exists (
      select from pg_catalog.pg_proc s where s.oid = to_regprocedure('tollgate.sealing()') and s.prosrc = 'select true');
  if from_supabase is null then
    select coalesce(bool_and(has_schema_privilege(r.rolname, n.oid, 'USAGE') and has_function_privilege(r.rolname, p.oid, 'EXECUTE')), false)
      into from_supabase
      from pg_catalog.pg_proc p
      join pg_catalog.pg_namespace n on n.oid = p.pronamespace and n.nspname = 'auth'
      cross join pg_catalog.pg_roles r
      where p.proname = 'jwt' and p.pronargs = 0 and p.prorettype = 'jsonb'::regtype
        -- Our stand-in calls this function.
        and p.proowner <> 'tollgate_migrator'::regrole
        and r.rolname in ('tollgate_owner', 'tollgate_admin', 'tollgate_member', 'tollgate_viewer', 'tollgate_platform',
                          'tollgate_ledger', 'tollgate_rls_helper');
  end if;
  if from_supabase then
    -- A string body is not bound to Supabase's function, so Supabase can change or drop it.
    create or replace function tollgate.jwt() returns jsonb language sql stable parallel safe
      as 'select auth.jwt()';
  else
    create or replace function tollgate.jwt() returns jsonb language sql stable parallel safe
      return nullif(current_setting('request.jwt.claims', true), '')::jsonb;
  end if;
end
$claims$;

-- The claims in a text.
create or replace function tollgate.verified(p_claims text) returns jsonb language sql stable parallel safe
  return nullif(p_claims, '')::jsonb;

-- Whether claims must be sealed. The body is a string, which everybody can read in the catalog.
create or replace function tollgate.sealing() returns boolean language sql stable parallel safe
  as 'select false';
