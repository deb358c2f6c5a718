-- Sets credits and budget tokens aside for these calls, in their order. One row for each call, in the same order:
-- `result` is granted, insufficient, budget_exceeded, suspended (with the switch's `scope`), unknown_organization or
-- conflict. `may_wait`: the call would fit once other calls release their holds. Repeating a granted hold grants it
-- again and changes nothing.
--
-- One statement has all holds of one organization that arrived while its previous statement was under way.
--
-- Lock order, as in every function: the organization's balance row, then its holds by request, then its windows. A
-- transaction touches one organization, so there is no deadlock. A heartbeat locks holds only, by request; a function
-- that ends holds in another order skips those that a heartbeat has locked.
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
  -- A crash may lose a hold. Its finish then finds the hold missing, and charges in full.
  perform set_config('synchronous_commit', 'off', true);

  select * into b from tollgate.credit_balances where organization_id = p_organization_id for update;
  perform tollgate.stay(p_organization_id);
  if b.organization_id is null then
    return query select 'unknown_organization', 0::bigint, false, null::text, null::text, null::text, null::bigint
      from generate_series(1, cardinality(p_request_ids));
    return;
  end if;
  -- Read after the lock is granted, so that everything that was committed before counts.
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
  -- Overdue holds that a crash has left must not cause a refusal.
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
      -- All that is held may be given back, but no more.
      may_wait := b.debt = 0 and b.posted >= p_amounts[i];
      return next;
      continue;
    end if;

    v_held_in := 0;
    if o.budgeted then
      select g.scope, g.scope_id, g.window_kind, x.unit, x.cap, x.used, x.start,
             -- First a budget that is exceeded even without the holds; among several, the one whose window ends last.
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
