-- Reads memberships from our own table from now on, and gives back what was granted on LiteLLM's. Takes no
-- parameters.
do $tollgate$
begin
  if exists (select from pg_catalog.pg_attribute a cross join lateral aclexplode(a.attacl) as g
               where a.attrelid = to_regclass('public."LiteLLM_OrganizationMembership"')
                 and g.grantee = 'tollgate_rls_helper'::regrole) then
    revoke select (user_id, organization_id, user_role) on public."LiteLLM_OrganizationMembership" from tollgate_rls_helper;
  end if;
  set local role tollgate_migrator;
  create or replace function tollgate.get_org_role(p_organization_id uuid) returns text
    language sql stable security definer set search_path = pg_catalog, pg_temp
    as 'select role from tollgate.memberships where organization_id = p_organization_id and user_id = tollgate.uid()';
  create or replace function tollgate.membership_source() returns text language sql immutable parallel safe
    return 'tollgate';
end
$tollgate$;
