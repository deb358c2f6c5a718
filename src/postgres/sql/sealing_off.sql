-- Claims count without a seal again, and are read as the first migration made it. Runs as tollgate_migrator. Takes
-- no parameters.
do $claims$
declare
  usable boolean;
begin
  select coalesce(bool_and(has_schema_privilege(r.rolname, n.oid, 'USAGE') and has_function_privilege(r.rolname, p.oid, 'EXECUTE')), false)
    into usable
    from pg_catalog.pg_proc p
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace and n.nspname = 'auth'
    cross join pg_catalog.pg_roles r
    where p.proname = 'jwt' and p.pronargs = 0 and p.prorettype = 'jsonb'::regtype
      -- Ours would ask itself.
      and p.proowner <> 'tollgate_migrator'::regrole
      and r.rolname in ('tollgate_owner', 'tollgate_admin', 'tollgate_member', 'tollgate_viewer', 'tollgate_platform',
                        'tollgate_ledger', 'tollgate_rls_helper');
  if usable then
    create or replace function tollgate.jwt() returns jsonb language sql stable parallel safe
      as 'select auth.jwt()';
  else
    create or replace function tollgate.jwt() returns jsonb language sql stable parallel safe
      return nullif(current_setting('request.jwt.claims', true), '')::jsonb;
  end if;
end
$claims$;
create or replace function tollgate.verified(p_claims text) returns jsonb language sql stable parallel safe
  return nullif(p_claims, '')::jsonb;
create or replace function tollgate.sealing() returns boolean language sql stable parallel safe
  as 'select false';
