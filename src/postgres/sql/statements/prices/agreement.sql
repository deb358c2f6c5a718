-- What is agreed with an organization: the mark-up, and one row for each tier of each agreed price.
-- $1 organization, $2 claims, $3 the moment at which it is in force, as text, or null for now
select markup_bps, price_id, model, per_request, from_input_tokens, input, cached_read, cache_write_5m, cache_write_1h, output, reasoning
  from tollgate.agreement($1, $2, $3::text::timestamptz)
