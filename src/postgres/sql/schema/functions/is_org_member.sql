-- Whether the claims' person is a member of the organization.
create or replace function tollgate.is_org_member(p_organization_id uuid) returns boolean
  language sql stable security definer set search_path = pg_catalog, pg_temp
  as 'select tollgate.get_org_role(p_organization_id) is not null';
