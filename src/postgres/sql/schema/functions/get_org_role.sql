-- The role of the claims' person in the claims' organization; null for any other organization, because two
-- organizations may use the same id for two people. Runs as the one role that may read memberships past the policies,
-- which call this function.
create or replace function tollgate.get_org_role(p_organization_id uuid) returns text
  language sql stable security definer set search_path = pg_catalog, pg_temp
  as 'select tollgate.role_in(p_organization_id, tollgate.uid()) where p_organization_id = tollgate.current_organization_id()';
