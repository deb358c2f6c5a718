-- Whether the claims' organization is not in use here. A move adds and deletes only rows of such an organization.
--
-- The body is a string, which is not bound to the table. The policies of `organizations` call this function, so a bound
-- body would make a circle of dependencies.
create or replace function tollgate.is_away() returns boolean
  language sql stable parallel safe set search_path = pg_catalog, pg_temp as $$
  select not exists (select from tollgate.organizations
                     where organization_id = tollgate.current_organization_id() and placement = 'row')
$$;
