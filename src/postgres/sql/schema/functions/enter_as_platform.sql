-- As `enter`, and refuses claims without the platform role.
create or replace function tollgate.enter_as_platform(p_organization_id uuid, p_claims text) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform tollgate.enter(p_organization_id, p_claims);
  if not tollgate.is_platform() then
    raise exception 'only for the platform role' using errcode = '42501';
  end if;
end $$;
