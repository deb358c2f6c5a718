-- Writes heartbeats of calls that go on, with the cost and tokens seen so far. Returns the ids of the holds that are
-- still open.
create or replace function tollgate.renew(
  p_organization_id uuid, p_claims text, p_request_ids uuid[], p_used bigint[], p_tokens bigint[], p_ttl_ms bigint)
  returns setof uuid
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform tollgate.enter(p_organization_id, p_claims);
  perform set_config('synchronous_commit', 'off', true);
  return query
    with mine as materialized (
      select h.request_id from tollgate.credit_holds h
        where h.organization_id = p_organization_id and h.status = 'open' and h.request_id = any (p_request_ids)
        order by h.request_id for update)
    update tollgate.credit_holds as h
      set used = greatest(h.used, n.used), tokens_seen = greatest(h.tokens_seen, n.tokens),
          expires_at = greatest(h.expires_at, clock_timestamp() + p_ttl_ms * interval '1 millisecond')
      from mine, unnest(p_request_ids, p_used, p_tokens) as n (request_id, used, tokens)
      where h.organization_id = p_organization_id and h.request_id = mine.request_id and n.request_id = mine.request_id
      returning h.request_id;
  perform tollgate.stay(p_organization_id);
end $$;
