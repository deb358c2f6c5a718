-- Adds a version of each list price that differs from the one in force at `p_effective_from` (null: now), and returns
-- how many were added. Adds all of them or none. A price that says which price it replaces (`replaces`: an id, or null
-- for none) was compared with that one; if another price is in force by now, the whole import is refused (TG409). Runs
-- with the caller's rights; row security lets the operator in.
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
    -- The id is computed from the imported price, the price that it replaces, and the beginning if one was given.
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
    insert into tollgate.price_tiers (price_id, from_input_tokens, input, cached_read, cache_write_5m, cache_write_1h, output, reasoning, effective_from)
      select a.price_id, t.from_input_tokens, t.input, t.cached_read, t.cache_write_5m, t.cache_write_1h, t.output, t.reasoning, v_from
        from added a
        cross join lateral jsonb_to_recordset(a.source -> 'tiers') as t (
          from_input_tokens bigint, input bigint, cached_read bigint, cache_write_5m bigint, cache_write_1h bigint, output bigint, reasoning bigint)
  )
  select count(*) into v_added from added;
  return v_added;
end $$;
