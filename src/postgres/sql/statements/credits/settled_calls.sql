-- The next settled calls of a window, in the order of their arrival.
-- $1 organization, $2 claims, $3 from and $4 until in microseconds, $5 microseconds and $6 id of the call to begin
-- after, or null, $7 the most calls
select arrived_us, request_id, model, input_tokens, cached_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens,
       reasoning_tokens, clamped, cost, price_id, markup_bps, coalesce(released, false), coalesce(held, 0), coalesce(used, 0), charged
  from tollgate.settled_calls($1, $2, $3, $4, $5, $6, $7)
