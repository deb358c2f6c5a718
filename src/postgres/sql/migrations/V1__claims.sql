-- What the database knows of the caller: the verified claims, read from one transaction-local setting.
--
-- The readers carry no SET clause, so that the planner can inline them; every name in them is bound
-- when they are made. Settings read '' and not NULL once a transaction has set them locally.
grant usage on schema tollgate to tollgate_login, tollgate_owner, tollgate_admin, tollgate_member, tollgate_viewer,
  tollgate_platform, tollgate_ledger, tollgate_rls_helper;

-- The claims. Where Supabase's own reader is there and all of our roles may use it, it is asked.
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
      and r.rolname in ('tollgate_owner', 'tollgate_admin', 'tollgate_member', 'tollgate_viewer', 'tollgate_platform',
                        'tollgate_ledger', 'tollgate_rls_helper');
  if usable then
    -- A string body on purpose: nothing of theirs must depend on us.
    create or replace function tollgate.jwt() returns jsonb language sql stable parallel safe
      as 'select auth.jwt()';
  else
    create or replace function tollgate.jwt() returns jsonb language sql stable parallel safe
      return nullif(current_setting('request.jwt.claims', true), '')::jsonb;
  end if;
end
$claims$;

-- The person: the token's `sub`, as text, because issuers do not agree on more.
create or replace function tollgate.uid() returns text language sql stable parallel safe
  return tollgate.jwt() ->> 'sub';

-- The organization that the claims name, and no other.
create or replace function tollgate.current_organization_id() returns uuid language sql stable parallel safe
  return nullif(tollgate.jwt() ->> 'organization_id', '')::uuid;

-- Whether the claims are the operator's own.
create or replace function tollgate.is_platform() returns boolean language sql stable parallel safe
  return coalesce(tollgate.jwt() ->> 'role_in_organization' = 'platform', false);
