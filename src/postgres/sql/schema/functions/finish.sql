-- Ends calls: writes usage and audit records, settles or releases holds, and charges. One row for each call, in their
-- order.
--
-- The usage row makes a finish happen once: a repeated finish finds the row and changes nothing. Usage and record are
-- written before the balance is locked, so that the lock is not held while a long answer is compressed. Commits
-- asynchronously; the caller sends a small durable commit behind it.
--
-- Lock order, as in every function: the organization's balance row, then its holds by request, then its windows.
create or replace function tollgate.finish(
  p_organization_id uuid, p_claims text, p_request_ids uuid[], p_arrived_ms bigint[], p_user_ids text[], p_team_ids uuid[], p_key_ids uuid[],
  p_amounts bigint[], p_tokens bigint[], p_price_ids uuid[], p_markup_bps integer[], p_releases boolean[],
  p_client_request_ids text[], p_endpoints text[], p_models text[], p_answered_by text[], p_providers text[], p_streams boolean[],
  p_endings text[], p_statuses integer[], p_input bigint[], p_cached_read bigint[], p_cache_write_5m bigint[], p_cache_write_1h bigint[],
  p_output bigint[], p_reasoning bigint[], p_estimated boolean[], p_clamped boolean[], p_latency_ms bigint[], p_first_byte_ms bigint[],
  p_records boolean[], p_requests text[], p_responses text[], p_truncated boolean[])
  returns table (charged bigint, debt bigint, replayed boolean)
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_time_zone text;
  b tollgate.credit_balances;
  h tollgate.credit_holds;
  v_new uuid[];
  v_ended uuid[] := '{}';
  v_charges bigint[] := '{}';
  v_debts bigint[] := '{}';
  v_kinds text[] := '{}';
  v_moving uuid[] := '{}';
  v_seqs bigint[] := '{}';
  v_d_posted bigint[] := '{}';
  v_d_held bigint[] := '{}';
  v_d_debt bigint[] := '{}';
  v_posteds bigint[] := '{}';
  v_helds bigint[] := '{}';
  v_owed bigint[] := '{}';
  v_amounts bigint[] := '{}';
  v_tokens bigint[] := '{}';
  v_prices uuid[] := '{}';
  v_states text[] := '{}';
  v_lost boolean;
  v_held bigint;
  v_due bigint;
  v_charged bigint;
  v_place integer;
begin
  if array_position(p_request_ids, null) is not null or 0 > any (p_amounts) or 0 > any (p_tokens)
    or exists (select from unnest(p_amounts, p_releases) as g (amount, is_release) where g.is_release and g.amount > 0)
    or (select count(distinct r) from unnest(p_request_ids) r) is distinct from cardinality(p_request_ids) then
    raise exception 'bad argument' using errcode = '22023';
  end if;
  perform tollgate.enter(p_organization_id, p_claims);
  perform set_config('synchronous_commit', 'off', true);

  with given as materialized (
    select g.*, timestamptz 'epoch' + g.arrived_ms * interval '1 millisecond' as arrived_at
      from unnest(p_request_ids, p_arrived_ms, p_user_ids, p_team_ids, p_key_ids, p_amounts, p_price_ids, p_markup_bps, p_client_request_ids, p_endpoints, p_models,
                  p_answered_by, p_providers, p_streams, p_endings, p_statuses, p_input, p_cached_read, p_cache_write_5m, p_cache_write_1h,
                  p_output, p_reasoning, p_estimated, p_clamped, p_latency_ms, p_first_byte_ms, p_records, p_requests, p_responses, p_truncated)
        as g (request_id, arrived_ms, user_id, team_id, key_id, amount, price_id, markup_bps, client_request_id, endpoint, model,
              answered_by, provider, stream, ending, status, input, cached_read, cache_write_5m, cache_write_1h,
              output, reasoning, estimated, clamped, latency_ms, first_byte_ms, record, request, response, truncated)),
  added as (
    insert into tollgate.usage (
        organization_id, arrived_at, request_id, user_id, team_id, key_id, client_request_id, endpoint, model, answered_by, provider, stream,
        ending, status, input_tokens, cached_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, estimated, clamped, cost,
        price_id, markup_bps, latency_ms, first_byte_ms)
      select p_organization_id, g.arrived_at, g.request_id, g.user_id, g.team_id, g.key_id, g.client_request_id, g.endpoint, g.model, g.answered_by, g.provider, g.stream,
             g.ending, g.status, g.input, g.cached_read, g.cache_write_5m, g.cache_write_1h, g.output, g.reasoning, g.estimated, g.clamped, coalesce(g.amount, 0),
             g.price_id, coalesce(g.markup_bps, 0), g.latency_ms, g.first_byte_ms
        from given g
        -- Two statements with the same finishes lock rows in the same order, so that they cannot deadlock.
        order by g.request_id
      on conflict (organization_id, arrived_at, request_id) do nothing
      returning request_id),
  recorded as (
    insert into tollgate.audit_events (
        organization_id, arrived_at, request_id, user_id, team_id, key_id, client_request_id, endpoint, model, answered_by, provider, stream,
        ending, status, input_tokens, cached_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, estimated, clamped, cost,
        price_id, markup_bps, latency_ms, first_byte_ms, request, response, truncated)
      select p_organization_id, g.arrived_at, g.request_id, g.user_id, g.team_id, g.key_id, g.client_request_id, g.endpoint, g.model, g.answered_by, g.provider, g.stream,
             g.ending, g.status, g.input, g.cached_read, g.cache_write_5m, g.cache_write_1h, g.output, g.reasoning, g.estimated, g.clamped, coalesce(g.amount, 0),
             g.price_id, coalesce(g.markup_bps, 0), g.latency_ms, g.first_byte_ms, g.request, g.response, g.truncated
        from given g join added a on a.request_id = g.request_id
        where g.record)
  select coalesce(array_agg(a.request_id), '{}') into v_new from added a;
  perform tollgate.stay(p_organization_id);

  -- Read after the first write, so that everything that was committed before it counts.
  select org.time_zone into v_time_zone from tollgate.organizations org where org.organization_id = p_organization_id;
  if not found then
    raise exception 'no such organization' using errcode = 'TG404';
  end if;

  if exists (select from unnest(p_request_ids, p_amounts) as g (request_id, amount) where g.amount is not null and g.request_id = any (v_new)) then
    select * into b from tollgate.credit_balances where organization_id = p_organization_id for update;
    if not found then
      raise exception 'no such organization' using errcode = 'TG404';
    end if;
    perform from tollgate.credit_holds c
      where c.organization_id = p_organization_id and c.request_id = any (v_new) order by c.request_id for update;

    for i in 1..cardinality(p_request_ids) loop
      continue when p_amounts[i] is null or not p_request_ids[i] = any (v_new);
      select * into h from tollgate.credit_holds c where c.organization_id = p_organization_id and c.request_id = p_request_ids[i];
      v_lost := not found;
      if v_lost then
        -- A crash lost the hold after it was granted. What the call used is owed all the same.
        insert into tollgate.credit_holds as c (organization_id, request_id, amount, tokens, day, month, status, expires_at, user_id, team_id, key_id)
          select p_organization_id, p_request_ids[i], 0, 0, (w.arrived at time zone v_time_zone)::date,
                 date_trunc('month', w.arrived at time zone v_time_zone)::date, 'expired', clock_timestamp(), p_user_ids[i], p_team_ids[i], p_key_ids[i]
            from (values (timestamptz 'epoch' + p_arrived_ms[i] * interval '1 millisecond')) as w (arrived)
          returning c.* into h;
      end if;
      if h.status not in ('open', 'expired') then
        raise exception 'the hold has ended, but its usage is missing' using errcode = '55000';
      end if;
      v_held := case when h.status = 'open' then h.amount else 0 end;
      -- What an expiry has charged already is not charged again.
      v_due := greatest(p_amounts[i] - h.charged - h.debt, 0);
      -- At most the call's own hold and the free credits: never below zero, and never credits that other calls hold.
      v_charged := least(v_due, b.posted - b.held + v_held);
      if v_held > 0 or v_due > 0 then
        b.held := b.held - v_held;
        b.posted := b.posted - v_charged;
        b.debt := b.debt + v_due - v_charged;
        b.seq := b.seq + 1;
        v_moving := v_moving || p_request_ids[i];
        v_kinds := v_kinds || case when h.status = 'expired' then 'late_settle' when p_releases[i] then 'release' else 'settle' end;
        v_seqs := v_seqs || b.seq;
        v_d_posted := v_d_posted || -v_charged;
        v_d_held := v_d_held || -v_held;
        v_d_debt := v_d_debt || (v_due - v_charged);
        v_posteds := v_posteds || b.posted;
        v_helds := v_helds || b.held;
        v_owed := v_owed || b.debt;
      end if;
      v_ended := v_ended || h.request_id;
      v_charges := v_charges || (h.charged + v_charged);
      v_debts := v_debts || (h.debt + v_due - v_charged);
      v_amounts := v_amounts || h.amount;
      v_tokens := v_tokens || greatest(p_tokens[i], h.tokens_used);
      v_prices := v_prices || p_price_ids[i];
      v_states := v_states || case when p_releases[i] then 'released' else 'settled' end;
      -- The tokens become used in the windows in which they were held, even if those windows are over.
      perform tollgate.end_in_windows(h, h.status = 'open', greatest(p_tokens[i] - h.tokens_used, 0), v_due);
    end loop;

    update tollgate.credit_holds as c
      set status = g.state, charged = g.charged, debt = g.debt, refund = greatest(g.amount - g.charged, 0), tokens_used = g.tokens, price_id = g.price_id
      from unnest(v_ended, v_states, v_charges, v_debts, v_amounts, v_tokens, v_prices) as g (request_id, state, charged, debt, amount, tokens, price_id)
      where c.organization_id = p_organization_id and c.request_id = g.request_id;
    if cardinality(v_moving) > 0 then
      update tollgate.credit_balances as c set posted = b.posted, held = b.held, debt = b.debt, seq = b.seq where c.organization_id = p_organization_id;
      insert into tollgate.credit_ledger (organization_id, seq, kind, request_id, d_posted, d_held, d_debt, posted_after, held_after, debt_after)
        select p_organization_id, g.*
          from unnest(v_seqs, v_kinds, v_moving, v_d_posted, v_d_held, v_d_debt, v_posteds, v_helds, v_owed) as g;
    end if;
  end if;

  for i in 1..cardinality(p_request_ids) loop
    charged := 0;
    debt := 0;
    replayed := not p_request_ids[i] = any (v_new);
    v_place := array_position(v_ended, p_request_ids[i]);
    if v_place is not null then
      charged := v_charges[v_place];
      debt := v_debts[v_place];
    elsif replayed then
      select c.charged, c.debt into charged, debt from tollgate.credit_holds c
        where c.organization_id = p_organization_id and c.request_id = p_request_ids[i];
      charged := coalesce(charged, 0);
      debt := coalesce(debt, 0);
    end if;
    return next;
  end loop;
end $$;
