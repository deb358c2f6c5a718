-- Refuses if the organization's rows are not here (TG301), and returns whether the organization is known. For functions
-- that only read: they call it after they have read, because rows that are gone by then may have been missing already.
create or replace function tollgate.still_here(p_organization_id uuid) returns boolean
  language plpgsql as $$
declare
  o record;
begin
  select org.placement into o from tollgate.organizations org where org.organization_id = p_organization_id;
  if not found then
    return false;
  end if;
  if o.placement <> 'row' then
    raise exception 'the organization is not here' using errcode = 'TG301';
  end if;
  return true;
end $$;
