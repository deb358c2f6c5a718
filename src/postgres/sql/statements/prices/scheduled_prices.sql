-- List prices that come into force later, in the shape of `price_book.sql`, each with its moment in
-- microseconds.
-- $1 a model, or null for all
select p.price_id, p.model, p.provider, p.mode, p.per_request, p.input_tokens_max, p.output_tokens_max,
       t.from_input_tokens, t.input, t.cached_read, t.cache_write_5m, t.cache_write_1h, t.output, t.reasoning,
       (extract(epoch from p.effective_from) * 1000000)::bigint
  from tollgate.prices p
  join tollgate.price_tiers t on t.price_id = p.price_id
  where p.effective_from > clock_timestamp() and ($1::text is null or p.model = $1)
  order by p.model, p.effective_from, p.created_at, p.price_id, t.from_input_tokens
