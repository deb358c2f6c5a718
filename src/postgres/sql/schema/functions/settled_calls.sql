-- The next settled calls that arrived in a window, in the order of their arrival: what they used, the price that they
-- name, what they cost by it, what the ledger took for them, and what is still owed.
create or replace function tollgate.settled_calls(
  p_organization_id uuid, p_claims text, p_from_us bigint, p_until_us bigint, p_after_us bigint, p_after_id uuid, p_limit integer)
  returns table (arrived_us bigint, request_id uuid, model text, answered_by text,
                 input_tokens bigint, cached_read_tokens bigint, cache_write_5m_tokens bigint, cache_write_1h_tokens bigint,
                 output_tokens bigint, reasoning_tokens bigint, clamped boolean, cost bigint, price_id uuid, markup_bps integer,
                 released boolean, held bigint, used bigint, charged bigint)
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_from timestamptz := timestamptz 'epoch' + p_from_us * interval '1 microsecond';
  v_until timestamptz := timestamptz 'epoch' + p_until_us * interval '1 microsecond';
  v_after timestamptz := coalesce(timestamptz 'epoch' + p_after_us * interval '1 microsecond', '-infinity');
  v_after_id uuid := coalesce(p_after_id, '00000000-0000-0000-0000-000000000000');
begin
  perform tollgate.enter_as_platform(p_organization_id, p_claims);
  return query
    with slice as materialized (
      select u.* from tollgate.usage u
        where u.organization_id = p_organization_id and u.arrived_at >= v_from and u.arrived_at < v_until
          and (u.arrived_at, u.request_id) > (v_after, v_after_id) and u.price_id is not null
        order by u.arrived_at, u.request_id
        limit p_limit
    )
    select (extract(epoch from s.arrived_at) * 1000000)::bigint, s.request_id, s.model, s.answered_by,
           s.input_tokens, s.cached_read_tokens, s.cache_write_5m_tokens, s.cache_write_1h_tokens, s.output_tokens, s.reasoning_tokens,
           s.clamped, s.cost, s.price_id, s.markup_bps,
           h.status = 'released', h.amount, h.used, h.charged + h.debt
      from slice s
      left join lateral (
        select * from tollgate.credit_holds h where h.organization_id = p_organization_id and h.request_id = s.request_id limit 1) h on true
      order by s.arrived_at, s.request_id;
end $$;
