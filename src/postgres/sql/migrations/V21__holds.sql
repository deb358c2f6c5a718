-- Holds of one organization, as many at once as came while the last statement was on its way.
--
-- Lock order, everywhere: the organization's balance row, then its holds by request, then its windows. A heartbeat
-- locks holds only, by request; who ends holds in another order skips what a heartbeat has locked.
drop function if exists tollgate.hold(uuid, text, uuid, bigint, bigint, bigint);
drop function if exists tollgate.give_back(uuid, text, uuid);
drop function if exists tollgate.expire(uuid, text, integer);
drop function if exists tollgate.expire_holds(uuid, uuid, integer);
grant create on schema tollgate to tollgate_ledger;

-- The budgets that a caller meets: of each scope the caller's own, else that of each ('*'); and the policy's.
-- `flag` is the window's place in `credit_holds.held_in`; `since` is when the budget was set.
create or replace function tollgate.budgets_of(p_organization_id uuid, p_user_id text, p_team_id uuid, p_key_id uuid)
  returns table (scope text, scope_id text, window_kind text, flag integer, tokens_max numeric, credits_max numeric, since timestamptz)
  language sql stable set search_path = pg_catalog, pg_temp as $$
  with caller (scope, id, place) as (
    values ('organization', '', 0), ('team', p_team_id::text, 2), ('user', p_user_id, 4), ('key', p_key_id::text, 6)),
  set_for as (
    select distinct on (b.scope, b.window_kind) b.scope, c.id as scope_id, b.window_kind, c.place, b.tokens_max::numeric, b.credits_max::numeric, b.updated_at
      from tollgate.budgets b join caller c on c.scope = b.scope and c.id is not null and b.scope_id in (c.id, '*')
      where b.organization_id = p_organization_id
      order by b.scope, b.window_kind, b.scope_id = '*'),
  by_policy as (
    select 'organization' as scope, '' as scope_id, w.kind as window_kind, 0 as place, w.tokens_max, null::numeric as credits_max, p.updated_at
      from tollgate.policies p
      cross join lateral (values ('day', (p.policy #>> '{budgets,daily_tokens}')::numeric),
                                 ('month', (p.policy #>> '{budgets,monthly_tokens}')::numeric)) as w (kind, tokens_max)
      where p.organization_id = p_organization_id and w.tokens_max is not null)
  select b.scope, b.scope_id, b.window_kind, 1 << (b.place + (b.window_kind = 'month')::integer),
         min(b.tokens_max), min(b.credits_max), max(b.updated_at)
    from (select * from set_for union all select * from by_policy) b
    group by b.scope, b.scope_id, b.window_kind, b.place
$$;

-- The window of a budget, made where it is not there yet. From then on every call of its scope counts in it, also
-- while there is no budget. A budget that was set in the middle of the window counts what was used before.
-- The caller has locked the balance.
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
          -- Ids have the millisecond of their call in front; clocks may differ.
          and h.request_id >= (lpad(to_hex((extract(epoch from v_begins - interval '1 day') * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid
          and case p_window_kind when 'day' then h.day else h.month end = p_start
          and case p_scope when 'organization' then true when 'team' then h.team_id::text = p_scope_id
                           when 'user' then h.user_id = p_scope_id else h.key_id::text = p_scope_id end
      returning * into u;
  end if;
  return next u;
end $$;

-- Ends a hold in its windows: what it held goes, and what was used stays. A window that nobody has looked at
-- has no row and needs none. Thresholds that are passed here are told once.
create or replace function tollgate.end_in_windows(p_hold tollgate.credit_holds, p_was_open boolean, p_tokens bigint, p_credits bigint) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  with moved as (
    update tollgate.budget_usage u
      set used = u.used + p_tokens, credits_used = u.credits_used + p_credits,
          held = u.held - case when p_was_open and p_hold.held_in & w.flag <> 0 then p_hold.tokens else 0 end,
          credits_held = u.credits_held - case when p_was_open and p_hold.held_in & w.flag <> 0 then p_hold.amount else 0 end
      from (values ('organization', '', 'day', p_hold.day, 1), ('organization', '', 'month', p_hold.month, 2),
                   ('team', p_hold.team_id::text, 'day', p_hold.day, 4), ('team', p_hold.team_id::text, 'month', p_hold.month, 8),
                   ('user', p_hold.user_id, 'day', p_hold.day, 16), ('user', p_hold.user_id, 'month', p_hold.month, 32),
                   ('key', p_hold.key_id::text, 'day', p_hold.day, 64), ('key', p_hold.key_id::text, 'month', p_hold.month, 128)
           ) as w (scope, scope_id, kind, start, flag)
      where u.organization_id = p_hold.organization_id and u.scope = w.scope and u.scope_id = w.scope_id
        and u.window_kind = w.kind and u.window_start = w.start
      returning u.scope, u.scope_id, u.window_kind, u.window_start, u.used, u.credits_used),
  passed as (
    select m.*, f.unit, f.now, f.cap, f.percent
      from moved m
      join tollgate.budgets_of(p_hold.organization_id, p_hold.user_id, p_hold.team_id, p_hold.key_id) b
        on b.scope = m.scope and b.scope_id = m.scope_id and b.window_kind = m.window_kind
      cross join lateral (
        select x.unit, x.now, x.cap, t.percent
          from (values ('tokens', m.used::numeric, m.used::numeric - p_tokens, b.tokens_max),
                       ('credits', m.credits_used::numeric, m.credits_used::numeric - p_credits, b.credits_max)) as x (unit, now, before, cap)
          cross join (values (50), (80), (100)) as t (percent)
          where x.now * 100 >= x.cap * t.percent and x.before * 100 < x.cap * t.percent) f)
  insert into tollgate.budget_events (organization_id, scope, scope_id, window_kind, window_start, unit, percent, refused, used, cap)
    select p_hold.organization_id, p.scope, p.scope_id, p.window_kind, p.window_start, p.unit, p.percent, false, p.now, least(p.cap, 9223372036854775807)
      from passed p
    on conflict (organization_id, scope, scope_id, window_kind, window_start, unit, percent, refused) do nothing;
end $$;

-- Ends open holds as expired, charging what their last heartbeat said: those overdue, or those named. The caller
-- has locked the balance.
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

-- Sets credits and budget tokens aside for these calls, in their order. One row a call, in the same order: `result` is
-- granted, insufficient, budget_exceeded, suspended (with the switch's `scope`), unknown_organization or conflict.
-- `may_wait`: it is only what others hold that is in the way. Repeating a granted hold grants it again and
-- changes nothing.
create or replace function tollgate.hold(
  p_organization_id uuid, p_claims text, p_request_ids uuid[], p_amounts bigint[], p_tokens bigint[], p_ttl_ms bigint[],
  p_user_ids text[], p_team_ids uuid[], p_key_ids uuid[])
  returns table (result text, available bigint, may_wait boolean, scope text, window_kind text, unit text, retry_after_ms bigint)
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  o record;
  b tollgate.credit_balances;
  h tollgate.credit_holds;
  e record;
  v_known uuid[];
  v_switch text;
  v_here timestamp;
  v_day date;
  v_month date;
  v_free bigint;
  v_held_in integer;
  v_requests uuid[] := '{}';
  v_places integer[] := '{}';
  v_bits integer[] := '{}';
  v_seqs bigint[] := '{}';
  v_helds bigint[] := '{}';
  v_held bigint;
  v_seq bigint;
begin
  if array_position(p_request_ids, null) is not null or array_position(p_amounts, null) is not null or array_position(p_tokens, null) is not null
    or array_position(p_ttl_ms, null) is not null or array_position(p_user_ids, null) is not null
    or 0 > any (p_amounts) or 0 > any (p_tokens) or 0 > any (p_ttl_ms)
    or (cardinality(p_amounts), cardinality(p_tokens), cardinality(p_ttl_ms), cardinality(p_user_ids), cardinality(p_team_ids), cardinality(p_key_ids))
       is distinct from (cardinality(p_request_ids), cardinality(p_request_ids), cardinality(p_request_ids), cardinality(p_request_ids),
                         cardinality(p_request_ids), cardinality(p_request_ids)) then
    raise exception 'bad argument' using errcode = '22023';
  end if;
  perform tollgate.enter(p_organization_id, p_claims);
  -- A hold that a crash forgets is found missing by its finish, which then charges in full.
  perform set_config('synchronous_commit', 'off', true);

  select * into b from tollgate.credit_balances where organization_id = p_organization_id for update;
  if not found then
    return query select 'unknown_organization', 0::bigint, false, null::text, null::text, null::text, null::bigint
      from generate_series(1, cardinality(p_request_ids));
    return;
  end if;
  -- Read behind the lock: what was committed before it was given is in force.
  select org.time_zone,
         org.suspended or coalesce((pol.policy ->> 'suspended')::boolean, false) as suspended,
         exists (select from tollgate.kill_switches s where s.organization_id = p_organization_id) as switched,
         exists (select from tollgate.budgets g where g.organization_id = p_organization_id)
           or coalesce(pol.policy #>> '{budgets,daily_tokens}', pol.policy #>> '{budgets,monthly_tokens}') is not null as budgeted
    into strict o
    from tollgate.organizations org
    left join tollgate.policies pol on pol.organization_id = p_organization_id
    where org.organization_id = p_organization_id;
  v_known := array(select k.request_id from tollgate.credit_holds k where k.organization_id = p_organization_id and k.request_id = any (p_request_ids));
  -- What a crash left held must not refuse anybody.
  if o.budgeted or b.posted - b.held < (select sum(a) from unnest(p_amounts) a) then
    if tollgate.expire_holds(p_organization_id, null, 100) > 0 then
      select * into strict b from tollgate.credit_balances where organization_id = p_organization_id;
    end if;
  end if;
  v_here := clock_timestamp() at time zone o.time_zone;
  v_day := v_here::date;
  v_month := date_trunc('month', v_here)::date;
  v_free := case when b.debt > 0 then 0 else b.posted - b.held end;
  v_held := b.held;
  v_seq := b.seq;

  for i in 1..cardinality(p_request_ids) loop
    available := v_free;
    may_wait := false;
    scope := null;
    window_kind := null;
    unit := null;
    retry_after_ms := null;
    if p_request_ids[i] = any (v_requests) then
      result := 'conflict';
      return next;
      continue;
    elsif p_request_ids[i] = any (v_known) then
      select * into strict h from tollgate.credit_holds k where k.organization_id = p_organization_id and k.request_id = p_request_ids[i];
      result := case when h.status = 'open' and h.amount = p_amounts[i] and h.tokens = p_tokens[i] then 'granted' else 'conflict' end;
      return next;
      continue;
    end if;
    v_switch := case when o.suspended then 'organization' end;
    if o.switched and v_switch is null then
      select s.scope into v_switch from tollgate.kill_switches s
        join (values ('organization', '', 1), ('team', p_team_ids[i]::text, 2), ('user', p_user_ids[i], 3), ('key', p_key_ids[i]::text, 4)) as c (scope, id, width)
          on c.scope = s.scope and c.id = s.scope_id
        where s.organization_id = p_organization_id order by c.width limit 1;
    end if;
    if v_switch is not null then
      result := 'suspended';
      scope := v_switch;
      return next;
      continue;
    end if;
    if b.debt > 0 or v_free < p_amounts[i] then
      result := 'insufficient';
      -- Everything that is held may come back, and no more than that.
      may_wait := b.debt = 0 and b.posted >= p_amounts[i];
      return next;
      continue;
    end if;

    v_held_in := 0;
    if o.budgeted then
      select g.scope, g.scope_id, g.window_kind, x.unit, x.cap, x.used, x.start,
             -- The longest wait is the true one, and what no wait helps comes first.
             x.used + x.more <= x.cap as waits,
             ceil(extract(epoch from (x.following::timestamp at time zone o.time_zone) - clock_timestamp()) * 1000)::bigint as ends_ms
        into e
        from tollgate.budgets_of(p_organization_id, p_user_ids[i], p_team_ids[i], p_key_ids[i]) g
        cross join lateral (select case g.window_kind when 'day' then v_day else v_month end as start,
                                   case g.window_kind when 'day' then v_day + 1 else (v_month + interval '1 month')::date end as following) w
        cross join lateral tollgate.window_of(p_organization_id, g.scope, g.scope_id, g.window_kind, w.start, o.time_zone, g.since) r
        cross join lateral (
          select y.*, w.start, w.following
            from (values ('tokens', g.tokens_max, r.used::numeric, r.held::numeric, p_tokens[i]::numeric),
                         ('credits', g.credits_max, r.credits_used::numeric, r.credits_held::numeric, p_amounts[i]::numeric))
              as y (unit, cap, used, held, more)
            where y.used + y.held + y.more > y.cap) x
        order by waits, ends_ms desc
        limit 1;
      if found then
        result := 'budget_exceeded';
        may_wait := e.waits;
        scope := e.scope;
        window_kind := e.window_kind;
        unit := e.unit;
        retry_after_ms := e.ends_ms;
        if not e.waits then
          insert into tollgate.budget_events (organization_id, scope, scope_id, window_kind, window_start, unit, percent, refused, used, cap)
            values (p_organization_id, e.scope, e.scope_id, e.window_kind, e.start, e.unit, 100, true, e.used, least(e.cap, 9223372036854775807))
            on conflict on constraint budget_events_pkey do nothing;
        end if;
        return next;
        continue;
      end if;
      with met as (
        update tollgate.budget_usage as u set held = u.held + p_tokens[i], credits_held = u.credits_held + p_amounts[i]
          from tollgate.budgets_of(p_organization_id, p_user_ids[i], p_team_ids[i], p_key_ids[i]) g
          where u.organization_id = p_organization_id and u.scope = g.scope and u.scope_id = g.scope_id and u.window_kind = g.window_kind
            and u.window_start = case g.window_kind when 'day' then v_day else v_month end
          returning g.flag)
      select coalesce(bit_or(m.flag), 0) into v_held_in from met m;
    end if;

    v_free := v_free - p_amounts[i];
    v_held := v_held + p_amounts[i];
    if p_amounts[i] > 0 then
      v_seq := v_seq + 1;
    end if;
    v_requests := v_requests || p_request_ids[i];
    v_places := v_places || i;
    v_bits := v_bits || v_held_in;
    v_seqs := v_seqs || v_seq;
    v_helds := v_helds || v_held;
    result := 'granted';
    available := v_free;
    return next;
  end loop;
  if cardinality(v_requests) = 0 then
    return;
  end if;

  insert into tollgate.credit_holds (organization_id, request_id, amount, tokens, day, month, expires_at, user_id, team_id, key_id, held_in)
    select p_organization_id, p_request_ids[g.i], p_amounts[g.i], p_tokens[g.i], v_day, v_month,
           clock_timestamp() + p_ttl_ms[g.i] * interval '1 millisecond', p_user_ids[g.i], p_team_ids[g.i], p_key_ids[g.i], g.held_in
      from unnest(v_places, v_bits) as g (i, held_in);
  if v_seq > b.seq then
    update tollgate.credit_balances set held = v_held, seq = v_seq where organization_id = p_organization_id;
    insert into tollgate.credit_ledger (organization_id, seq, kind, request_id, d_posted, d_held, d_debt, posted_after, held_after, debt_after)
      select p_organization_id, g.seq, 'hold', p_request_ids[g.i], 0, p_amounts[g.i], 0, b.posted, g.held, b.debt
        from unnest(v_places, v_seqs, v_helds) as g (i, seq, held)
        where p_amounts[g.i] > 0;
  end if;
end $$;

-- Gives back the holds of calls that nobody waits for any more, and says how many were open.
create or replace function tollgate.give_back(p_organization_id uuid, p_claims text, p_request_ids uuid[]) returns integer
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform tollgate.enter(p_organization_id, p_claims);
  perform set_config('synchronous_commit', 'off', true);
  perform from tollgate.credit_balances where organization_id = p_organization_id for update;
  if not found then
    return 0;
  end if;
  return tollgate.expire_holds(p_organization_id, coalesce(p_request_ids, '{}'), cardinality(p_request_ids));
end $$;

-- Expires overdue holds of one organization, at most `p_limit`, and returns how many.
create or replace function tollgate.expire(p_organization_id uuid, p_claims text, p_limit integer) returns integer
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform tollgate.enter(p_organization_id, p_claims);
  perform set_config('synchronous_commit', 'off', true);
  perform from tollgate.credit_balances where organization_id = p_organization_id for update;
  if not found then
    return 0;
  end if;
  return tollgate.expire_holds(p_organization_id, null, p_limit);
end $$;

-- Heartbeats: these calls go on, and this much of each was seen so far. The ids of holds that are open still.
create or replace function tollgate.renew(
  p_organization_id uuid, p_claims text, p_request_ids uuid[], p_used bigint[], p_tokens bigint[], p_ttl_ms bigint)
  returns setof uuid
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform tollgate.enter(p_organization_id, p_claims);
  perform set_config('synchronous_commit', 'off', true);
  return query
    with mine as materialized (
      select h.request_id from tollgate.credit_holds h
        where h.organization_id = p_organization_id and h.status = 'open' and h.request_id = any (p_request_ids)
        order by h.request_id for update)
    update tollgate.credit_holds as h
      set used = greatest(h.used, n.used), tokens_seen = greatest(h.tokens_seen, n.tokens),
          expires_at = greatest(h.expires_at, clock_timestamp() + p_ttl_ms * interval '1 millisecond')
      from mine, unnest(p_request_ids, p_used, p_tokens) as n (request_id, used, tokens)
      where h.organization_id = p_organization_id and h.request_id = mine.request_id and n.request_id = mine.request_id
      returning h.request_id;
end $$;

do $owners$
declare
  wanted record;
begin
  for wanted in
    select p.oid::regprocedure as signature, f.called
      from (values ('budgets_of', false), ('window_of', false), ('end_in_windows', false), ('expire_holds', false),
                   ('hold', true), ('give_back', true), ('expire', true), ('renew', true)) as f (name, called)
      join pg_catalog.pg_proc p on p.proname = f.name and p.pronamespace = 'tollgate'::regnamespace
  loop
    execute format('revoke all on function %s from public', wanted.signature);
    execute format('alter function %s owner to tollgate_ledger', wanted.signature);
    if wanted.called then
      execute format('grant execute on function %s to tollgate_login', wanted.signature);
    end if;
  end loop;
end
$owners$;
revoke create on schema tollgate from tollgate_ledger;
