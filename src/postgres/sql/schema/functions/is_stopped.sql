-- Whether a kill switch of the caller's own user, team or key is on: then the caller changes nothing of the organization.
-- A switch of the whole organization does not count, because its people turn it off themselves.
--
-- The body is a string, which is not bound to the table: the table's policies ask, and so depend on this function.
create or replace function tollgate.is_stopped() returns boolean language sql stable parallel safe
  set search_path = pg_catalog, pg_temp
  as $$
    select exists (
      select from tollgate.kill_switches s
        where s.organization_id = tollgate.current_organization_id()
          and (s.scope, s.scope_id) in (('user', tollgate.uid()), ('team', tollgate.jwt() ->> 'team_id'), ('key', tollgate.jwt() ->> 'key_id')))
  $$;
