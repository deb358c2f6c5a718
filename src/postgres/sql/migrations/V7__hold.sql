-- Setting credits and budget tokens aside, and giving back what was not used in time.
--
-- Lock order, everywhere: the organization's balance row first, then its holds and windows. One
-- transaction touches one organization, so nothing here can wait in a circle.
--
-- The functions run as tollgate_ledger, which has no way round row security: they put the claims
-- into force themselves and see the organization in them, and nothing else.
grant create on schema tollgate to tollgate_ledger, tollgate_rls_helper;

-- Puts the claims into force for this transaction, unless they name another organization.
create or replace function tollgate.enter(p_organization_id uuid, p_claims text) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if nullif(p_claims::jsonb ->> 'organization_id', '')::uuid is distinct from p_organization_id or p_organization_id is null then
    raise exception 'the claims name another organization' using errcode = '42501';
  end if;
  perform set_config('request.jwt.claims', p_claims, true);
  -- Supabase's reader prefers this older setting: nothing may stand in it.
  perform set_config('request.jwt.claim', '', true);
end $$;

-- Ends open holds as expired: those overdue, or the one that is named. The caller has locked the balance.
create or replace function tollgate.expire_holds(p_organization_id uuid, p_request_id uuid, p_limit integer) returns integer
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  b tollgate.credit_balances;
  h tollgate.credit_holds;
  v_charged bigint;
  v_debt bigint;
  n integer := 0;
begin
  for h in
    select * from tollgate.credit_holds
      where organization_id = p_organization_id and status = 'open'
        and case when p_request_id is null then expires_at <= clock_timestamp() else request_id = p_request_id end
      order by expires_at limit p_limit
  loop
    select * into strict b from tollgate.credit_balances where organization_id = p_organization_id;
    v_charged := least(h.used, b.posted - b.held + h.amount);
    v_debt := h.used - v_charged;
    if h.amount > 0 or h.used > 0 then
      update tollgate.credit_balances
        set held = held - h.amount, posted = posted - v_charged, debt = debt + v_debt, seq = seq + 1
        where organization_id = p_organization_id;
      insert into tollgate.credit_ledger (organization_id, seq, kind, request_id, d_posted, d_held, d_debt, posted_after, held_after, debt_after)
        values (p_organization_id, b.seq + 1, 'expire', h.request_id, -v_charged, -h.amount, v_debt,
                b.posted - v_charged, b.held - h.amount, b.debt + v_debt);
    end if;
    update tollgate.credit_holds
      set status = 'expired', charged = v_charged, debt = v_debt, refund = greatest(h.amount - v_charged, 0)
      where organization_id = p_organization_id and request_id = h.request_id;
    update tollgate.budget_usage set held = held - h.tokens
      where organization_id = p_organization_id and scope = 'organization' and scope_id = ''
        and (window_kind, window_start) in (('day', h.day), ('month', h.month));
    n := n + 1;
  end loop;
  return n;
end $$;

-- One statement before the call. `result` is granted, insufficient, budget_exceeded, suspended,
-- unknown_organization or conflict. Repeating a granted hold grants it again and changes nothing.
create or replace function tollgate.hold(
  p_organization_id uuid, p_claims text, p_request_id uuid, p_amount bigint, p_tokens bigint, p_ttl_ms bigint,
  out result text, out available bigint, out budget_window text, out retry_after_ms bigint)
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  o record;
  b tollgate.credit_balances;
  h tollgate.credit_holds;
  exceeded record;
  v_here timestamp;
  v_day date;
  v_month date;
begin
  if p_request_id is null or p_amount is null or p_amount < 0 or p_tokens is null or p_tokens < 0 or p_ttl_ms is null or p_ttl_ms < 0 then
    raise exception 'bad argument' using errcode = '22023';
  end if;
  perform tollgate.enter(p_organization_id, p_claims);
  -- A hold that a crash forgets is found missing by its finish, which then charges in full.
  perform set_config('synchronous_commit', 'off', true);

  select org.time_zone,
         org.suspended or coalesce((pol.policy ->> 'suspended')::boolean, false) as suspended,
         (pol.policy #>> '{budgets,daily_tokens}')::numeric as daily_tokens,
         (pol.policy #>> '{budgets,monthly_tokens}')::numeric as monthly_tokens
    into o
    from tollgate.organizations org
    left join tollgate.policies pol on pol.organization_id = org.organization_id
    where org.organization_id = p_organization_id;
  if not found then
    result := 'unknown_organization';
    return;
  end if;
  if o.suspended then
    result := 'suspended';
    return;
  end if;

  select * into b from tollgate.credit_balances where organization_id = p_organization_id for update;
  if not found then
    result := 'unknown_organization';
    return;
  end if;
  select * into h from tollgate.credit_holds where organization_id = p_organization_id and request_id = p_request_id;
  if found then
    result := case when h.status = 'open' and h.amount = p_amount and h.tokens = p_tokens then 'granted' else 'conflict' end;
    return;
  end if;

  v_here := clock_timestamp() at time zone o.time_zone;
  v_day := v_here::date;
  v_month := date_trunc('month', v_here)::date;
  for attempt in 1..2 loop
    result := null;
    if b.debt > 0 or b.posted - b.held < p_amount then
      result := 'insufficient';
    elsif o.daily_tokens is not null or o.monthly_tokens is not null then
      select w.kind, w.following into exceeded
        from (values ('day', o.daily_tokens, v_day, v_day + 1),
                     ('month', o.monthly_tokens, v_month, (v_month + interval '1 month')::date)) as w (kind, tokens_max, start, following)
        left join tollgate.budget_usage u
          on u.organization_id = p_organization_id and u.scope = 'organization' and u.scope_id = ''
          and u.window_kind = w.kind and u.window_start = w.start
        where coalesce(u.used, 0)::numeric + coalesce(u.held, 0) + p_tokens > w.tokens_max
        order by w.following desc
        limit 1;
      if found then
        result := 'budget_exceeded';
      end if;
    end if;
    exit when result is null or attempt = 2;
    -- What a crash left held must not refuse anybody.
    exit when tollgate.expire_holds(p_organization_id, null, 100) = 0;
    select * into strict b from tollgate.credit_balances where organization_id = p_organization_id;
  end loop;
  available := case when b.debt > 0 then 0 else b.posted - b.held end;
  if result = 'budget_exceeded' then
    budget_window := exceeded.kind;
    retry_after_ms := ceil(extract(epoch from (exceeded.following::timestamp at time zone o.time_zone) - clock_timestamp()) * 1000);
  end if;
  if result is not null then
    return;
  end if;

  insert into tollgate.credit_holds (organization_id, request_id, amount, tokens, day, month, expires_at)
    values (p_organization_id, p_request_id, p_amount, p_tokens, v_day, v_month, clock_timestamp() + p_ttl_ms * interval '1 millisecond');
  if p_amount > 0 then
    update tollgate.credit_balances set held = held + p_amount, seq = seq + 1 where organization_id = p_organization_id;
    insert into tollgate.credit_ledger (organization_id, seq, kind, request_id, d_posted, d_held, d_debt, posted_after, held_after, debt_after)
      values (p_organization_id, b.seq + 1, 'hold', p_request_id, 0, p_amount, 0, b.posted, b.held + p_amount, b.debt);
  end if;
  if p_tokens > 0 then
    insert into tollgate.budget_usage as u (organization_id, scope, scope_id, window_kind, window_start, held)
      values (p_organization_id, 'organization', '', 'day', v_day, p_tokens),
             (p_organization_id, 'organization', '', 'month', v_month, p_tokens)
      on conflict (organization_id, scope, scope_id, window_kind, window_start) do update set held = u.held + excluded.held;
  end if;
  result := 'granted';
  available := available - p_amount;
end $$;

-- Gives back the hold of a call that nobody waits for any more. Whether there was an open one.
create or replace function tollgate.give_back(p_organization_id uuid, p_claims text, p_request_id uuid) returns boolean
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform tollgate.enter(p_organization_id, p_claims);
  perform set_config('synchronous_commit', 'off', true);
  perform from tollgate.credit_balances where organization_id = p_organization_id for update;
  return tollgate.expire_holds(p_organization_id, coalesce(p_request_id, '00000000-0000-0000-0000-000000000000'), 1) > 0;
end $$;

-- Expires overdue holds of one organization, at most `p_limit`, and returns how many.
create or replace function tollgate.expire(p_organization_id uuid, p_claims text, p_limit integer) returns integer
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform tollgate.enter(p_organization_id, p_claims);
  perform set_config('synchronous_commit', 'off', true);
  perform from tollgate.credit_balances where organization_id = p_organization_id for update;
  return tollgate.expire_holds(p_organization_id, null, p_limit);
end $$;
