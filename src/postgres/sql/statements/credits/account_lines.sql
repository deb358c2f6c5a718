-- The next movements of an account.
-- $1 organization, $2 claims, $3 the movement to begin after, $4 the last movement, $5 the most rows
select seq, at_us, day, kind, request_id, reference, d_posted, d_held, d_debt, posted_after, held_after, debt_after,
       user_id, team_id, model, price_id, markup_bps, input_tokens, cached_read_tokens, cache_write_5m_tokens,
       cache_write_1h_tokens, output_tokens, reasoning_tokens
  from tollgate.account_lines_as_platform($1, $2, $3, $4, $5)
