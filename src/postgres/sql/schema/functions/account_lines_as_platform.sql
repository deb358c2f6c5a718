-- As `account_lines`, for the operator.
create or replace function tollgate.account_lines_as_platform(
  p_organization_id uuid, p_claims text, p_after bigint, p_last bigint, p_limit integer)
  returns table (seq bigint, at_us bigint, day text, kind text, request_id uuid, reference text,
                 d_posted bigint, d_held bigint, d_debt bigint, posted_after bigint, held_after bigint, debt_after bigint,
                 user_id text, team_id uuid, model text, price_id uuid, markup_bps integer,
                 input_tokens bigint, cached_read_tokens bigint, cache_write_5m_tokens bigint, cache_write_1h_tokens bigint,
                 output_tokens bigint, reasoning_tokens bigint)
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform tollgate.enter_as_platform(p_organization_id, p_claims);
  return query select * from tollgate.account_lines(p_organization_id, p_after, p_last, p_limit);
end $$;
