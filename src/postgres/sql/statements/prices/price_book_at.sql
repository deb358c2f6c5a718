-- The list prices that are in force at a moment, in the shape of `price_book.sql`: for the operator, who may
-- read future prices.
-- $1 the moment as text, or null for now
select p.price_id, p.model, p.provider, p.mode, p.per_request, p.input_tokens_max, p.output_tokens_max,
       t.from_input_tokens, t.input, t.cached_read, t.cache_write_5m, t.cache_write_1h, t.output, t.reasoning
  from (select distinct on (p.model) p.*
          from tollgate.prices p
          where p.effective_from <= coalesce($1::text::timestamptz, clock_timestamp())
          order by p.model, p.effective_from desc, p.created_at desc, p.price_id desc) as p
  join tollgate.price_tiers t on t.price_id = p.price_id
  order by p.model, t.from_input_tokens
