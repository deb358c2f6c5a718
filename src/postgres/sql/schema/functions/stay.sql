-- Refuses if the organization's rows are not here (TG301; TG404 if the organization is unknown), or are being moved
-- (TG302).
--
-- Every function that writes an organization's rows calls this, in a statement of its own AFTER its first write or row
-- lock: by then its transaction has locked a table of this schema, and keeps that lock until its end. A move sets
-- `held_up`, commits, and then waits for all transactions that have such a lock. Every transaction that has not seen
-- `held_up` is among them.
create or replace function tollgate.stay(p_organization_id uuid) returns void
  language plpgsql as $$
declare
  o record;
begin
  select org.placement, org.held_up into o from tollgate.organizations org where org.organization_id = p_organization_id;
  if not found then
    raise exception 'no such organization' using errcode = 'TG404';
  end if;
  if o.placement <> 'row' then
    raise exception 'the organization is not here' using errcode = 'TG301';
  end if;
  if o.held_up then
    raise exception 'the organization is being moved' using errcode = 'TG302';
  end if;
end $$;
