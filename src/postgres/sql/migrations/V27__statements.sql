-- What calls cost, computed once more; and what an organization's account did in a window of time.
--
-- Ledger and usage are append-only, so a window that is over reads the same for ever. Everything here is
-- read in slices by key: no snapshot stays open while calls go on. What belongs to a row of a slice is looked
-- up by its key, `lateral` and with a limit: else the planner reads all of an organization's rows for each slice.

-- When a call arrived: its id says so, and its usage is kept under it.
create or replace function tollgate.arrived_at(p_request_id uuid) returns timestamptz language sql immutable parallel safe
  return timestamptz 'epoch' + case when substr(p_request_id::text, 15, 1) = '7'
    then ('x' || replace(left(p_request_id::text, 13), '-', ''))::bit(48)::bigint else 0 end * interval '1 millisecond';

-- The last movement of a ledger before a moment; 0 where there is none. The ledger is in the order of time,
-- so it is looked up as in a book. The places looked at do not depend on how long the ledger is by
-- now: windows that meet share one answer for ever. Sees what the caller may see.
create or replace function tollgate.ledger_seq_before(p_organization_id uuid, p_at timestamptz) returns bigint
  language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_before bigint := 0;
  v_from bigint := 4611686018427387904;
  v_middle bigint;
begin
  while v_from - v_before > 1 loop
    v_middle := v_before + (v_from - v_before) / 2;
    perform from tollgate.credit_ledger l
      where l.organization_id = p_organization_id and l.seq = v_middle and l.created_at < p_at;
    if found then
      v_before := v_middle;
    else
      v_from := v_middle;
    end if;
  end loop;
  return v_before;
end $$;

-- The window of a statement of account, and the balances at both of its ends: those after the movements
-- `opening_seq` and `closing_seq`. `final` where nothing can come into it any more. No row where the caller
-- may not see the organization.
create or replace function tollgate.account_window(p_organization_id uuid, p_from text, p_until text)
  returns table (name text, time_zone text, from_us bigint, until_us bigint, final boolean,
                 opening_seq bigint, opening_posted bigint, opening_held bigint, opening_debt bigint,
                 closing_seq bigint, closing_posted bigint, closing_held bigint, closing_debt bigint)
  language sql stable set search_path = pg_catalog, pg_temp as $$
  with
  bounds as materialized (
    select o.name, o.time_zone, tollgate.moment(p_from, o.time_zone) as from_at, tollgate.moment(p_until, o.time_zone) as until_at
      from tollgate.organizations o where o.organization_id = p_organization_id
  ),
  ends as materialized (
    select tollgate.ledger_seq_before(p_organization_id, b.from_at) as opening,
           tollgate.ledger_seq_before(p_organization_id, b.until_at) as closing
      from bounds b
  )
  select b.name, b.time_zone, (extract(epoch from b.from_at) * 1000000)::bigint, (extract(epoch from b.until_at) * 1000000)::bigint,
         -- A movement has its time from within its transaction, which ends within seconds.
         b.until_at < clock_timestamp() - interval '1 minute',
         e.opening, coalesce(o.posted_after, 0), coalesce(o.held_after, 0), coalesce(o.debt_after, 0),
         e.closing, coalesce(c.posted_after, 0), coalesce(c.held_after, 0), coalesce(c.debt_after, 0)
    from bounds b
    cross join ends e
    left join tollgate.credit_ledger o on o.organization_id = p_organization_id and o.seq = e.opening
    left join tollgate.credit_ledger c on c.organization_id = p_organization_id and c.seq = e.closing
$$;

-- The next movements of an account after `p_after`, up to `p_last`, in their order, each with what is known
-- of its call. Sees what the caller may see.
create or replace function tollgate.account_lines(p_organization_id uuid, p_after bigint, p_last bigint, p_limit integer)
  returns table (seq bigint, at_us bigint, day text, kind text, request_id uuid, reference text,
                 d_posted bigint, d_held bigint, d_debt bigint, posted_after bigint, held_after bigint, debt_after bigint,
                 user_id text, team_id uuid, model text, price_id uuid, markup_bps integer,
                 input_tokens bigint, cached_read_tokens bigint, cache_write_5m_tokens bigint, cache_write_1h_tokens bigint,
                 output_tokens bigint, reasoning_tokens bigint)
  language sql stable set search_path = pg_catalog, pg_temp as $$
  with line as materialized (
    select l.* from tollgate.credit_ledger l
      where l.organization_id = p_organization_id and l.seq > p_after and l.seq <= p_last
      order by l.seq
      limit p_limit
  )
  select l.seq, (extract(epoch from l.created_at) * 1000000)::bigint, to_char(l.created_at at time zone o.time_zone, 'YYYY-MM-DD'),
         l.kind, l.request_id, l.reference, l.d_posted, l.d_held, l.d_debt, l.posted_after, l.held_after, l.debt_after,
         coalesce(u.user_id, nullif(h.user_id, '')), coalesce(u.team_id, h.team_id), u.model, u.price_id, u.markup_bps,
         u.input_tokens, u.cached_read_tokens, u.cache_write_5m_tokens, u.cache_write_1h_tokens, u.output_tokens, u.reasoning_tokens
    from line l
    join tollgate.organizations o on o.organization_id = p_organization_id
    left join lateral (
      select u.* from tollgate.usage u
        where u.organization_id = p_organization_id and u.arrived_at = tollgate.arrived_at(l.request_id) and u.request_id = l.request_id
        limit 1) u on true
    left join lateral (
      select h.user_id, h.team_id from tollgate.credit_holds h
        where h.organization_id = p_organization_id and h.request_id = l.request_id limit 1) h on true
    order by l.seq
$$;

-- The same two for the operator.
create or replace function tollgate.account_window_as_platform(p_organization_id uuid, p_claims text, p_from text, p_until text)
  returns table (name text, time_zone text, from_us bigint, until_us bigint, final boolean,
                 opening_seq bigint, opening_posted bigint, opening_held bigint, opening_debt bigint,
                 closing_seq bigint, closing_posted bigint, closing_held bigint, closing_debt bigint)
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform tollgate.enter_as_platform(p_organization_id, p_claims);
  return query select * from tollgate.account_window(p_organization_id, p_from, p_until);
end $$;

create or replace function tollgate.account_lines_as_platform(
  p_organization_id uuid, p_claims text, p_after bigint, p_last bigint, p_limit integer)
  returns table (seq bigint, at_us bigint, day text, kind text, request_id uuid, reference text,
                 d_posted bigint, d_held bigint, d_debt bigint, posted_after bigint, held_after bigint, debt_after bigint,
                 user_id text, team_id uuid, model text, price_id uuid, markup_bps integer,
                 input_tokens bigint, cached_read_tokens bigint, cache_write_5m_tokens bigint, cache_write_1h_tokens bigint,
                 output_tokens bigint, reasoning_tokens bigint)
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform tollgate.enter_as_platform(p_organization_id, p_claims);
  return query select * from tollgate.account_lines(p_organization_id, p_after, p_last, p_limit);
end $$;

-- The next settled calls that arrived in a window, in the order of their arrival, with what they used, the
-- price they name, what they cost by it, and what the ledger took for them and is owed.
create or replace function tollgate.settled_calls(
  p_organization_id uuid, p_claims text, p_from_us bigint, p_until_us bigint, p_after_us bigint, p_after_id uuid, p_limit integer)
  returns table (arrived_us bigint, request_id uuid, model text, answered_by text,
                 input_tokens bigint, cached_read_tokens bigint, cache_write_5m_tokens bigint, cache_write_1h_tokens bigint,
                 output_tokens bigint, reasoning_tokens bigint, clamped boolean, cost bigint, price_id uuid, markup_bps integer,
                 released boolean, held bigint, used bigint, charged bigint)
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_from timestamptz := timestamptz 'epoch' + p_from_us * interval '1 microsecond';
  v_until timestamptz := timestamptz 'epoch' + p_until_us * interval '1 microsecond';
  v_after timestamptz := coalesce(timestamptz 'epoch' + p_after_us * interval '1 microsecond', '-infinity');
  v_after_id uuid := coalesce(p_after_id, '00000000-0000-0000-0000-000000000000');
begin
  perform tollgate.enter_as_platform(p_organization_id, p_claims);
  return query
    with slice as materialized (
      select u.* from tollgate.usage u
        where u.organization_id = p_organization_id and u.arrived_at >= v_from and u.arrived_at < v_until
          and (u.arrived_at, u.request_id) > (v_after, v_after_id) and u.price_id is not null
        order by u.arrived_at, u.request_id
        limit p_limit
    )
    select (extract(epoch from s.arrived_at) * 1000000)::bigint, s.request_id, s.model, s.answered_by,
           s.input_tokens, s.cached_read_tokens, s.cache_write_5m_tokens, s.cache_write_1h_tokens, s.output_tokens, s.reasoning_tokens,
           s.clamped, s.cost, s.price_id, s.markup_bps,
           h.status = 'released', h.amount, h.used, h.charged + h.debt
      from slice s
      left join lateral (
        select * from tollgate.credit_holds h where h.organization_id = p_organization_id and h.request_id = s.request_id limit 1) h on true
      order by s.arrived_at, s.request_id;
end $$;

-- Usage × price = cost, for the next calls after a place in the order of their arrival: how many there were,
-- where they end, and each that does not come to what is written. That the ledger took the cost is
-- `reconcile`'s to say. No row where no call is left.
--
-- A call that was given back costs nothing. One whose figures were absurd (`clamped`) may cost what was
-- held for it. The sum is exact and rounded up once: nano-dollars × tokens per million × basis points.
create or replace function tollgate.check_prices(
  p_organization_id uuid, p_claims text, p_after_us bigint, p_after_id uuid, p_limit integer)
  returns table (calls bigint, last_us bigint, last_id uuid, broken text[])
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_after timestamptz := coalesce(timestamptz 'epoch' + p_after_us * interval '1 microsecond', '-infinity');
  v_after_id uuid := coalesce(p_after_id, '00000000-0000-0000-0000-000000000000');
begin
  perform tollgate.enter_as_platform(p_organization_id, p_claims);
  return query
  with
  slice as materialized (
    select u.* from tollgate.usage u
      where u.organization_id = p_organization_id and (u.arrived_at, u.request_id) > (v_after, v_after_id)
      order by u.arrived_at, u.request_id
      limit p_limit
  ),
  named as materialized (select distinct s.price_id from slice s where s.price_id is not null),
  price as materialized (
    select p.price_id, p.model, p.per_request from tollgate.prices p join named n on n.price_id = p.price_id
    union all
    select o.price_id, o.model, o.per_request from tollgate.price_overrides o join named n on n.price_id = o.price_id
      where o.organization_id = p_organization_id
  ),
  tier as materialized (
    select t.price_id, t.from_input_tokens, t.input, t.cached_read, t.cache_write_5m, t.cache_write_1h, t.output, t.reasoning
      from tollgate.price_tiers t join named n on n.price_id = t.price_id
    union all
    select t.price_id, t.from_input_tokens, t.input, t.cached_read, t.cache_write_5m, t.cache_write_1h, t.output, t.reasoning
      from tollgate.price_override_tiers t join named n on n.price_id = t.price_id
      where t.organization_id = p_organization_id
  ),
  computed as (
    select s.request_id, s.model, s.cost, s.clamped, s.price_id, p.model as priced_model, h.amount as held,
           case when h.status = 'released' then 0
                else div((p.per_request::numeric * 1000000
                          + s.input_tokens::numeric * t.input + s.cached_read_tokens::numeric * t.cached_read
                          + s.cache_write_5m_tokens::numeric * t.cache_write_5m + s.cache_write_1h_tokens::numeric * t.cache_write_1h
                          + s.output_tokens::numeric * t.output + s.reasoning_tokens::numeric * t.reasoning)
                         * (10000 + s.markup_bps) + 9999999999, 10000000000) end as expected
      from slice s
      left join price p on p.price_id = s.price_id
      left join lateral (
        select t.* from tier t
          where t.price_id = s.price_id
            and t.from_input_tokens <= s.input_tokens::numeric + s.cached_read_tokens + s.cache_write_5m_tokens + s.cache_write_1h_tokens
          order by t.from_input_tokens desc limit 1) t on true
      left join lateral (
        select h.status, h.amount from tollgate.credit_holds h
          where h.organization_id = p_organization_id and h.request_id = s.request_id limit 1) h on true
  ),
  findings as (
    select format('usage %s costs %s and names no price', c.request_id, c.cost) as finding
      from computed c where c.price_id is null and c.cost > 0
    union all
    select format('usage %s names price %s, which is not there', c.request_id, c.price_id)
      from computed c where c.price_id is not null and (c.priced_model is null or c.expected is null)
    union all
    select format('usage %s is of %s and was priced as %s', c.request_id, c.model, c.priced_model)
      from computed c where c.priced_model <> c.model
    union all
    select format('usage %s costs %s, by its price it comes to %s', c.request_id, c.cost, c.expected)
      from computed c
      where c.expected <> c.cost
        -- What was held for a hold that a crash lost, nobody knows any more.
        and not (c.clamped and (c.cost = c.held or coalesce(c.held, 0) = 0))
  ),
  last as (select s.arrived_at, s.request_id from slice s order by s.arrived_at desc, s.request_id desc limit 1)
  select (select count(*) from slice), (extract(epoch from l.arrived_at) * 1000000)::bigint, l.request_id,
         coalesce((select array_agg(f.finding) from (select finding from findings limit 100) f), '{}')
    from last l;
end $$;

do $callers$
declare
  wanted record;
  grantee text;
begin
  for wanted in
    select p.oid::regprocedure as signature, f.callers
      from (values
        ('arrived_at', 'owner ledger'),
        ('ledger_seq_before', 'owner ledger'),
        ('account_window', 'owner ledger'),
        ('account_lines', 'owner ledger'),
        ('account_window_as_platform', 'platform'),
        ('account_lines_as_platform', 'platform'),
        ('settled_calls', 'platform'),
        ('check_prices', 'platform')
      ) as f (name, callers)
      join pg_catalog.pg_proc p on p.proname = f.name and p.pronamespace = 'tollgate'::regnamespace
  loop
    execute format('revoke all on function %s from public', wanted.signature);
    foreach grantee in array string_to_array(wanted.callers, ' ') loop
      execute format('grant execute on function %s to %I', wanted.signature, 'tollgate_' || grantee);
    end loop;
  end loop;
end
$callers$;

-- Those that put the claims into force themselves run as the one role that row security binds to them.
grant create on schema tollgate to tollgate_ledger;
alter function tollgate.account_window_as_platform(uuid, text, text, text) owner to tollgate_ledger;
alter function tollgate.account_lines_as_platform(uuid, text, bigint, bigint, integer) owner to tollgate_ledger;
alter function tollgate.settled_calls(uuid, text, bigint, bigint, bigint, uuid, integer) owner to tollgate_ledger;
alter function tollgate.check_prices(uuid, text, bigint, uuid, integer) owner to tollgate_ledger;
revoke create on schema tollgate from tollgate_ledger;
