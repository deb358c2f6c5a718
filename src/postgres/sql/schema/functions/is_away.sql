-- Whether the claims' organization is not in use here. Only the rows of such an organization are added or removed by a move.
create or replace function tollgate.is_away() returns boolean
  language sql stable parallel safe
  return not exists (select from tollgate.organizations
                     where organization_id = tollgate.current_organization_id() and placement = 'row');
