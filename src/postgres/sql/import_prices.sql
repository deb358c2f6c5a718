-- Adds a new version of each price that differs from the one in force, and counts them. The id follows
-- from what is imported and what it replaces, so that two that import at once add it once.
-- $1 an array of prices as JSON, each with its tiers
with
incoming as (
  select distinct on (price ->> 'model') price ->> 'model' as model, price as source
    from jsonb_array_elements($1::text::jsonb) as price
),
latest as (
  select distinct on (p.model) p.model, p.price_id, p.source
    from tollgate.prices p
    order by p.model, p.effective_from desc, p.price_id desc
),
changed as (
  select i.model, i.source, md5(coalesce(l.price_id::text, '') || i.source::text)::uuid as price_id
    from incoming i
    left join latest l on l.model = i.model
    where l.source is distinct from i.source
),
added as (
  insert into tollgate.prices (price_id, model, provider, mode, per_request, input_tokens_max, output_tokens_max, source)
    select price_id, model, source ->> 'provider', source ->> 'mode', (source ->> 'per_request')::bigint,
           (source ->> 'input_tokens_max')::bigint, (source ->> 'output_tokens_max')::bigint, source
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
select count(*) from added
