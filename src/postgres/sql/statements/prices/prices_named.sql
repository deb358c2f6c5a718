-- Prices by their ids, of the list and of those agreed with an organization, in the shape of `price_book.sql`.
-- $1 organization, $2 ids
select p.price_id, p.model, p.provider, p.mode, p.per_request, p.input_tokens_max, p.output_tokens_max,
       t.from_input_tokens, t.input, t.cached_read, t.cache_write_5m, t.cache_write_1h, t.output, t.reasoning
  from tollgate.prices p
  join tollgate.price_tiers t on t.price_id = p.price_id
  where p.price_id = any ($2)
union all
select o.price_id, o.model, ''::text, ''::text, o.per_request, null::bigint, null::bigint,
       t.from_input_tokens, t.input, t.cached_read, t.cache_write_5m, t.cache_write_1h, t.output, t.reasoning
  from tollgate.price_overrides o
  join tollgate.price_override_tiers t on t.organization_id = o.organization_id and t.price_id = o.price_id
  where o.organization_id = $1 and o.price_id = any ($2)
  order by 1, 8
