-- Prices that come into force later, prices agreed with one organization, and how new ones are put in.

-- Of two versions that begin at one moment, the one that was put in later stands.
alter table tollgate.prices add column if not exists created_at timestamptz not null default now();

-- An agreed price never changes and is never taken away: a row that is withdrawn comes after it and says
-- that from then on the list price holds. Its rates are nothing's.
alter table tollgate.price_overrides add column if not exists withdrawn boolean not null default false;

-- A moment as people write it: a day of this time zone begins at its midnight (where the clocks skip it, at
-- the first moment there is), anything longer says its own zone. Null is now.
create or replace function tollgate.moment(p_text text, p_time_zone text) returns timestamptz language sql stable parallel safe
  return case
    when p_text is null then statement_timestamp()
    when length(p_text) = 10 then p_text::date::timestamp at time zone p_time_zone
    else p_text::timestamptz end;

-- The latest price of each model that is in force, one row a tier.
create or replace function tollgate.price_book()
  returns table (price_id uuid, model text, provider text, mode text, per_request bigint, input_tokens_max bigint, output_tokens_max bigint,
                 from_input_tokens bigint, input bigint, cached_read bigint, cache_write_5m bigint, cache_write_1h bigint,
                 output bigint, reasoning bigint)
  language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  with in_force as (
    select distinct on (p.model) p.*
      from tollgate.prices p
      where p.effective_from <= now()
      order by p.model, p.effective_from desc, p.created_at desc, p.price_id desc
  )
  select p.price_id, p.model, p.provider, p.mode, p.per_request, p.input_tokens_max, p.output_tokens_max,
         t.from_input_tokens, t.input, t.cached_read, t.cache_write_5m, t.cache_write_1h, t.output, t.reasoning
    from in_force p
    join tollgate.price_tiers t on t.price_id = p.price_id
    order by p.model, t.from_input_tokens
$$;

-- Adds a version of each list price that differs from the one that will be in force at `p_effective_from`
-- (now, where that is null), and counts them: all of them or none. A price that says what it replaces
-- (`replaces`: an id, or null for none) was judged against that one; where another one is in force by
-- now, everything is refused (TG409). Runs as whoever calls it: row security lets the operator in.
create or replace function tollgate.import_prices(p_prices text, p_effective_from timestamptz) returns bigint
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_from timestamptz;
  v_model text;
  v_added bigint;
begin
  -- One import after the other: what the first has added is in force for the second.
  perform pg_advisory_xact_lock(hashtextextended('tollgate.prices', 0));
  if p_effective_from < clock_timestamp() - interval '1 minute' then
    raise exception 'a price cannot begin in the past: calls have been settled by another one' using errcode = '22023';
  end if;
  v_from := coalesce(p_effective_from, clock_timestamp());

  with
  incoming as (
    select price ->> 'model' as model, price as said from jsonb_array_elements(p_prices::jsonb) as price
  ),
  latest as (
    select distinct on (p.model) p.model, p.price_id
      from tollgate.prices p
      where p.effective_from <= v_from
      order by p.model, p.effective_from desc, p.created_at desc, p.price_id desc
  )
  select i.model into v_model
    from incoming i left join latest l on l.model = i.model
    where i.said ? 'replaces' and l.price_id is distinct from (i.said ->> 'replaces')::uuid
    limit 1;
  if found then
    raise exception 'the price of % has changed meanwhile', v_model using errcode = 'TG409';
  end if;

  with
  incoming as (
    select distinct on (price ->> 'model') price ->> 'model' as model, price - 'replaces' as source
      from jsonb_array_elements(p_prices::jsonb) as price
  ),
  latest as (
    select distinct on (p.model) p.model, p.price_id, p.source
      from tollgate.prices p
      where p.effective_from <= v_from
      order by p.model, p.effective_from desc, p.created_at desc, p.price_id desc
  ),
  changed as (
    -- The id follows from what is imported, what it replaces, and from when on where that was said.
    select i.model, i.source,
           md5(coalesce(l.price_id::text, '') || i.source::text || coalesce(extract(epoch from p_effective_from)::text, ''))::uuid as price_id
      from incoming i
      left join latest l on l.model = i.model
      where l.source is distinct from i.source
  ),
  added as (
    insert into tollgate.prices (price_id, model, provider, mode, per_request, input_tokens_max, output_tokens_max, effective_from, created_at, source)
      select price_id, model, source ->> 'provider', source ->> 'mode', (source ->> 'per_request')::bigint,
             (source ->> 'input_tokens_max')::bigint, (source ->> 'output_tokens_max')::bigint, v_from, clock_timestamp(), source
        from changed
      on conflict (price_id) do nothing
      returning price_id, source
  ),
  tiers as (
    insert into tollgate.price_tiers (price_id, from_input_tokens, input, cached_read, cache_write_5m, cache_write_1h, output, reasoning)
      select a.price_id, t.from_input_tokens, t.input, t.cached_read, t.cache_write_5m, t.cache_write_1h, t.output, t.reasoning
        from added a
        cross join lateral jsonb_to_recordset(a.source -> 'tiers') as t (
          from_input_tokens bigint, input bigint, cached_read bigint, cache_write_5m bigint, cache_write_1h bigint, output bigint, reasoning bigint)
  )
  select count(*) into v_added from added;
  return v_added;
end $$;

-- What is agreed with an organization and in force at a moment (now, where it is null): the mark-up on the
-- list, and each agreed price, one row a tier. At least one row; without agreed prices it has no price.
create or replace function tollgate.agreement(p_organization_id uuid, p_claims text, p_at timestamptz)
  returns table (markup_bps integer, price_id uuid, model text, per_request bigint, from_input_tokens bigint, input bigint, cached_read bigint,
                 cache_write_5m bigint, cache_write_1h bigint, output bigint, reasoning bigint)
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_at timestamptz := coalesce(p_at, clock_timestamp());
begin
  perform tollgate.enter(p_organization_id, p_claims);
  return query
    with agreed as (
      select distinct on (o.model) o.*
        from tollgate.price_overrides o
        where o.organization_id = p_organization_id and o.effective_from <= v_at
        order by o.model, o.effective_from desc
    )
    select coalesce((select m.markup_bps from tollgate.price_markups m
                       where m.organization_id = p_organization_id and m.effective_from <= v_at
                       order by m.effective_from desc limit 1), 0),
           p.price_id, p.model, p.per_request, p.from_input_tokens, p.input, p.cached_read, p.cache_write_5m, p.cache_write_1h, p.output, p.reasoning
      from (values (true)) as one (row)
      left join (
        select a.price_id, a.model, a.per_request, t.from_input_tokens, t.input, t.cached_read, t.cache_write_5m, t.cache_write_1h, t.output, t.reasoning
          from agreed a
          join tollgate.price_override_tiers t on t.organization_id = p_organization_id and t.price_id = a.price_id
          where not a.withdrawn
      ) as p on true
      order by p.model, p.from_input_tokens;
end $$;

-- Which of these models an organization has called, among its next `p_limit` calls after a place in the
-- order of their arrival; and where they end. Read in slices, so that no snapshot stays open for long.
create or replace function tollgate.models_called(
  p_organization_id uuid, p_claims text, p_models text[], p_after_us bigint, p_after_id uuid, p_limit integer)
  returns table (models text[], calls bigint, last_us bigint, last_id uuid)
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_after timestamptz := coalesce(timestamptz 'epoch' + p_after_us * interval '1 microsecond', '-infinity');
  v_after_id uuid := coalesce(p_after_id, '00000000-0000-0000-0000-000000000000');
begin
  perform tollgate.enter_as_platform(p_organization_id, p_claims);
  return query
    with slice as materialized (
      select u.model, u.arrived_at, u.request_id
        from tollgate.usage u
        where u.organization_id = p_organization_id and (u.arrived_at, u.request_id) > (v_after, v_after_id)
        order by u.arrived_at, u.request_id
        limit p_limit
    ),
    last as (select s.arrived_at, s.request_id from slice s order by s.arrived_at desc, s.request_id desc limit 1)
    select (select coalesce(array_agg(distinct s.model), '{}') from slice s where s.model = any (p_models)),
           (select count(*) from slice),
           (extract(epoch from l.arrived_at) * 1000000)::bigint, l.request_id
      from last l;
end $$;

revoke all on function tollgate.moment(text, text), tollgate.import_prices(text, timestamptz) from public;
grant execute on function tollgate.moment(text, text) to tollgate_owner, tollgate_platform, tollgate_ledger;
grant execute on function tollgate.import_prices(text, timestamptz) to tollgate_platform;

grant create on schema tollgate to tollgate_ledger;
do $owners$
declare
  wanted record;
  grantee text;
begin
  for wanted in
    select p.oid::regprocedure as signature, f.callers
      from (values ('agreement', 'login platform'), ('models_called', 'platform')) as f (name, callers)
      join pg_catalog.pg_proc p on p.proname = f.name and p.pronamespace = 'tollgate'::regnamespace
  loop
    execute format('revoke all on function %s from public', wanted.signature);
    foreach grantee in array string_to_array(wanted.callers, ' ') loop
      execute format('grant execute on function %s to %I', wanted.signature, 'tollgate_' || grantee);
    end loop;
    execute format('alter function %s owner to tollgate_ledger', wanted.signature);
  end loop;
end
$owners$;
revoke create on schema tollgate from tollgate_ledger;
