-- All prices in force now, one row for each tier, the tiers of a model in ascending order.
select price_id, model, provider, mode, per_request, input_tokens_max, output_tokens_max,
       from_input_tokens, input, cached_read, cache_write_5m, cache_write_1h, output, reasoning
  from tollgate.price_book()
