-- The price of each model that is in force, one row for each tier.
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
