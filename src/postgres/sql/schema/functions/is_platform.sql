-- Whether the claims are the operator's.
create or replace function tollgate.is_platform() returns boolean language sql stable parallel safe
  return coalesce(tollgate.jwt() ->> 'role_in_organization' = 'platform', false);
