-- Ends open holds as expired and charges what their last heartbeat reported: the overdue holds, or those with the ids
-- in `p_request_ids`. The caller has locked the balance.
create or replace function tollgate.expire_holds(p_organization_id uuid, p_request_ids uuid[], p_limit integer) returns integer
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  b tollgate.credit_balances;
  h tollgate.credit_holds;
  v_charged bigint;
  v_debt bigint;
  n integer := 0;
begin
  select * into strict b from tollgate.credit_balances where organization_id = p_organization_id;
  for h in
    select * from tollgate.credit_holds
      where organization_id = p_organization_id and status = 'open'
        and case when p_request_ids is null then expires_at <= clock_timestamp() else request_id = any (p_request_ids) end
      order by expires_at limit p_limit
      for update skip locked
  loop
    v_charged := least(h.used, b.posted - b.held + h.amount);
    v_debt := h.used - v_charged;
    if h.amount > 0 or h.used > 0 then
      update tollgate.credit_balances as c
        set held = c.held - h.amount, posted = c.posted - v_charged, debt = c.debt + v_debt, seq = c.seq + 1
        where c.organization_id = p_organization_id
        returning * into b;
      insert into tollgate.credit_ledger (organization_id, seq, kind, request_id, d_posted, d_held, d_debt, posted_after, held_after, debt_after)
        values (p_organization_id, b.seq, 'expire', h.request_id, -v_charged, -h.amount, v_debt, b.posted, b.held, b.debt);
    end if;
    update tollgate.credit_holds as c
      set status = 'expired', charged = v_charged, debt = v_debt, refund = greatest(h.amount - v_charged, 0), tokens_used = h.tokens_seen
      where c.organization_id = p_organization_id and c.request_id = h.request_id;
    perform tollgate.end_in_windows(h, true, h.tokens_seen, h.used);
    n := n + 1;
  end loop;
  return n;
end $$;
