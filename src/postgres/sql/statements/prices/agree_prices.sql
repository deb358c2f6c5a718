-- Agrees on prices with an organization, or withdraws them: then the list prices hold from that moment on. Returns one
-- row with the moment at which this begins, null if it is in the past. No row if the organization is not here.
-- $1 organization, $2 an array of prices as JSON, each with its id and tiers, $3 the beginning as text, or null for
-- now, $4 whether they are withdrawn
with
beginning as materialized (
  select o.organization_id, tollgate.moment($3, o.time_zone) as from_at
    from tollgate.organizations o where o.organization_id = $1
),
price as (
  insert into tollgate.price_overrides (organization_id, price_id, model, per_request, effective_from, created_by, withdrawn)
    select b.organization_id, (p ->> 'price_id')::uuid, p ->> 'model', (p ->> 'per_request')::bigint, b.from_at, tollgate.uid(), $4
      from beginning b
      cross join lateral jsonb_array_elements($2::text::jsonb) as p
      where b.from_at > clock_timestamp() - interval '1 minute'
    returning organization_id, effective_from
),
tiers as (
  insert into tollgate.price_override_tiers
      (organization_id, price_id, from_input_tokens, input, cached_read, cache_write_5m, cache_write_1h, output, reasoning)
    select b.organization_id, (p ->> 'price_id')::uuid, t.from_input_tokens, t.input, t.cached_read, t.cache_write_5m, t.cache_write_1h, t.output, t.reasoning
      from beginning b
      cross join lateral jsonb_array_elements($2::text::jsonb) as p
      cross join lateral jsonb_to_recordset(p -> 'tiers') as t (
        from_input_tokens bigint, input bigint, cached_read bigint, cache_write_5m bigint, cache_write_1h bigint, output bigint, reasoning bigint)
      where b.from_at > clock_timestamp() - interval '1 minute' and not $4
)
select (select (extract(epoch from max(p.effective_from)) * 1000000)::bigint from price p where p.organization_id = b.organization_id)
  from beginning b
