-- The window of a budget; creates it if it is missing. From then on every call of its scope counts in it, even while
-- there is no budget. A budget that was set in the middle of a window counts what was used before. The caller has
-- locked the balance.
create or replace function tollgate.window_of(
  p_organization_id uuid, p_scope text, p_scope_id text, p_window_kind text, p_start date, p_time_zone text, p_since timestamptz)
  returns setof tollgate.budget_usage rows 1
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  u tollgate.budget_usage;
  v_begins constant timestamptz := p_start::timestamp at time zone p_time_zone;
begin
  select * into u from tollgate.budget_usage c
    where c.organization_id = p_organization_id and c.scope = p_scope and c.scope_id = p_scope_id
      and c.window_kind = p_window_kind and c.window_start = p_start;
  if not found then
    insert into tollgate.budget_usage (organization_id, scope, scope_id, window_kind, window_start, used, credits_used)
      select p_organization_id, p_scope, p_scope_id, p_window_kind, p_start, coalesce(sum(h.tokens_used), 0), coalesce(sum(h.charged + h.debt), 0)
        from tollgate.credit_holds h
        where p_since > v_begins and h.organization_id = p_organization_id
          -- An id begins with the millisecond of its call. The day is a margin for clocks that differ.
          and h.request_id >= (lpad(to_hex((extract(epoch from v_begins - interval '1 day') * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid
          and case p_window_kind when 'day' then h.day else h.month end = p_start
          and case p_scope when 'organization' then true when 'team' then h.team_id::text = p_scope_id
                           when 'user' then h.user_id = p_scope_id else h.key_id::text = p_scope_id end
      returning * into u;
  end if;
  return next u;
end $$;
