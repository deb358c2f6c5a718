-- Creates an organization with an empty balance and the default policy. False if the organization exists already. The
-- claims must name the organization and the platform role.
create or replace function tollgate.create_organization(p_organization_id uuid, p_claims text, p_name text, p_time_zone text) returns boolean
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform tollgate.enter_as_platform(p_organization_id, p_claims);
  insert into tollgate.organizations (organization_id, name, time_zone) values (p_organization_id, p_name, p_time_zone)
    on conflict (organization_id) do nothing;
  if not found then
    return false;
  end if;
  insert into tollgate.policies (organization_id) values (p_organization_id);
  insert into tollgate.credit_balances (organization_id) values (p_organization_id);
  return true;
end $$;
