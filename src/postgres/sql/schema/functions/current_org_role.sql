-- The caller's role in the claims' organization: the token's role, or else the membership table's.
create or replace function tollgate.current_org_role() returns text language sql stable parallel safe
  return coalesce(nullif(tollgate.jwt() ->> 'role_in_organization', ''),
                  tollgate.get_org_role(tollgate.current_organization_id()));
