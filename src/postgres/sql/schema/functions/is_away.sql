-- Whether the claims' organization is not in use here. Only the rows of such an organization are added or removed by a move.
--
-- The body is a string, which binds no table: the policies of `organizations` call this function, and a body that was bound
-- to the table would depend on what depends on it.
create or replace function tollgate.is_away() returns boolean
  language sql stable parallel safe set search_path = pg_catalog, pg_temp as $$
  select not exists (select from tollgate.organizations
                     where organization_id = tollgate.current_organization_id() and placement = 'row')
$$;
