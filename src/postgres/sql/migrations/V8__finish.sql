-- The end of a call: settlement, usage and record in one transaction.

-- The usage row is what makes a finish happen once: a repeated finish finds it and changes nothing.
-- It is written first, before the balance is locked, so that the lock is not held while a long
-- answer is compressed. Commits asynchronously; the caller sends a small durable commit behind it.
create or replace function tollgate.finish(
  p_organization_id uuid, p_claims text, p_request_id uuid, p_arrived_ms bigint,
  p_amount bigint, p_tokens bigint, p_price_id uuid, p_release boolean,
  p_client_request_id text, p_endpoint text, p_model text, p_answered_by text, p_provider text, p_stream boolean,
  p_ending text, p_status integer, p_input bigint, p_cached_read bigint, p_cache_write_5m bigint, p_cache_write_1h bigint,
  p_output bigint, p_reasoning bigint, p_estimated boolean, p_clamped boolean, p_latency_ms bigint, p_first_byte_ms bigint,
  p_record boolean, p_request text, p_response text, p_truncated boolean,
  out charged bigint, out debt bigint, out replayed boolean)
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_time_zone text;
  v_arrived timestamptz := timestamptz 'epoch' + p_arrived_ms * interval '1 millisecond';
  v_claims jsonb;
  b tollgate.credit_balances;
  h tollgate.credit_holds;
  v_held bigint;
  v_due bigint;
  v_charged bigint;
  v_debt bigint;
begin
  if p_request_id is null or p_amount < 0 or p_tokens < 0 or (p_release and p_amount > 0) then
    raise exception 'bad argument' using errcode = '22023';
  end if;
  perform tollgate.enter(p_organization_id, p_claims);
  perform set_config('synchronous_commit', 'off', true);
  v_claims := p_claims::jsonb;
  select time_zone into v_time_zone from tollgate.organizations where organization_id = p_organization_id;
  if not found then
    raise exception 'no such organization' using errcode = 'TG404';
  end if;

  insert into tollgate.usage (
      organization_id, arrived_at, request_id, user_id, team_id, client_request_id, endpoint, model, answered_by, provider, stream,
      ending, status, input_tokens, cached_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, estimated, clamped, cost, price_id,
      latency_ms, first_byte_ms)
    values (
      p_organization_id, v_arrived, p_request_id, v_claims ->> 'sub', (v_claims ->> 'team_id')::uuid, p_client_request_id, p_endpoint,
      p_model, p_answered_by, p_provider, p_stream, p_ending, p_status, p_input, p_cached_read, p_cache_write_5m, p_cache_write_1h,
      p_output, p_reasoning, p_estimated, p_clamped, coalesce(p_amount, 0), p_price_id, p_latency_ms, p_first_byte_ms)
    on conflict (organization_id, arrived_at, request_id) do nothing;
  if not found then
    select c.charged, c.debt into charged, debt from tollgate.credit_holds c
      where c.organization_id = p_organization_id and c.request_id = p_request_id;
    charged := coalesce(charged, 0);
    debt := coalesce(debt, 0);
    replayed := true;
    return;
  end if;
  if p_record then
    insert into tollgate.audit_events (
        organization_id, arrived_at, request_id, user_id, team_id, client_request_id, endpoint, model, answered_by, provider, stream,
        ending, status, input_tokens, cached_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, estimated, clamped, cost, price_id,
        latency_ms, first_byte_ms, request, response, truncated)
      values (
        p_organization_id, v_arrived, p_request_id, v_claims ->> 'sub', (v_claims ->> 'team_id')::uuid, p_client_request_id, p_endpoint,
        p_model, p_answered_by, p_provider, p_stream, p_ending, p_status, p_input, p_cached_read, p_cache_write_5m, p_cache_write_1h,
        p_output, p_reasoning, p_estimated, p_clamped, coalesce(p_amount, 0), p_price_id, p_latency_ms, p_first_byte_ms,
        p_request, p_response, p_truncated);
  end if;
  charged := 0;
  debt := 0;
  replayed := false;
  if p_amount is null then
    return;
  end if;

  select * into b from tollgate.credit_balances where organization_id = p_organization_id for update;
  if not found then
    raise exception 'no such organization' using errcode = 'TG404';
  end if;
  select * into h from tollgate.credit_holds where organization_id = p_organization_id and request_id = p_request_id;
  if not found then
    -- The hold was acknowledged and lost in a crash: what was used is owed all the same.
    insert into tollgate.credit_holds (organization_id, request_id, amount, tokens, day, month, status, expires_at)
      values (p_organization_id, p_request_id, 0, 0, (v_arrived at time zone v_time_zone)::date,
              date_trunc('month', v_arrived at time zone v_time_zone)::date, 'expired', clock_timestamp())
      returning * into h;
  end if;
  if h.status not in ('open', 'expired') then
    raise exception 'the hold has ended, but its usage is missing' using errcode = '55000';
  end if;
  v_held := case when h.status = 'open' then h.amount else 0 end;
  -- What an expiry has charged already is not charged again.
  v_due := greatest(p_amount - h.charged - h.debt, 0);
  -- The own hold and whatever is free: never below zero, never what others hold.
  v_charged := least(v_due, b.posted - b.held + v_held);
  v_debt := v_due - v_charged;
  if v_held > 0 or v_due > 0 then
    update tollgate.credit_balances as c
      set held = c.held - v_held, posted = c.posted - v_charged, debt = c.debt + v_debt, seq = c.seq + 1
      where c.organization_id = p_organization_id;
    insert into tollgate.credit_ledger (organization_id, seq, kind, request_id, d_posted, d_held, d_debt, posted_after, held_after, debt_after)
      values (p_organization_id, b.seq + 1,
              case when h.status = 'expired' then 'late_settle' when p_release then 'release' else 'settle' end,
              p_request_id, -v_charged, -v_held, v_debt, b.posted - v_charged, b.held - v_held, b.debt + v_debt);
  end if;
  charged := h.charged + v_charged;
  debt := h.debt + v_debt;
  update tollgate.credit_holds c
    set status = case when p_release then 'released' else 'settled' end,
        charged = finish.charged, debt = finish.debt, refund = greatest(h.amount - finish.charged, 0), price_id = p_price_id
    where c.organization_id = p_organization_id and c.request_id = p_request_id;
  -- The tokens go from held to used in the windows they were held in, whatever the time is now.
  if h.tokens > 0 or p_tokens > 0 then
    insert into tollgate.budget_usage as u (organization_id, scope, scope_id, window_kind, window_start, used)
      values (p_organization_id, 'organization', '', 'day', h.day, coalesce(p_tokens, 0)),
             (p_organization_id, 'organization', '', 'month', h.month, coalesce(p_tokens, 0))
      on conflict (organization_id, scope, scope_id, window_kind, window_start) do update
        set used = u.used + excluded.used, held = u.held - case when h.status = 'open' then h.tokens else 0 end;
  end if;
end $$;
