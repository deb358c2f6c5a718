-- Checks that usage × price = cost for the next calls after a place in the order of their arrival: how many calls there
-- were, where they end, and each call whose stored cost differs. No row if no call is left. Whether the ledger took the
-- cost is checked by `reconcile`.
--
-- A call that was released costs nothing. A call whose figures were absurd (`clamped`) may cost what was held for it.
-- The sum is exact and rounded up once: nano-dollars × tokens per million × basis points.
create or replace function tollgate.check_prices(
  p_organization_id uuid, p_claims text, p_after_us bigint, p_after_id uuid, p_limit integer)
  returns table (calls bigint, last_us bigint, last_id uuid, broken text[])
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_after timestamptz := coalesce(timestamptz 'epoch' + p_after_us * interval '1 microsecond', '-infinity');
  v_after_id uuid := coalesce(p_after_id, '00000000-0000-0000-0000-000000000000');
begin
  perform tollgate.enter_as_platform(p_organization_id, p_claims);
  return query
  with
  slice as materialized (
    select u.* from tollgate.usage u
      where u.organization_id = p_organization_id and (u.arrived_at, u.request_id) > (v_after, v_after_id)
      order by u.arrived_at, u.request_id
      limit p_limit
  ),
  named as materialized (select distinct s.price_id from slice s where s.price_id is not null),
  price as materialized (
    select p.price_id, p.model, p.per_request from tollgate.prices p join named n on n.price_id = p.price_id
    union all
    select o.price_id, o.model, o.per_request from tollgate.price_overrides o join named n on n.price_id = o.price_id
      where o.organization_id = p_organization_id
  ),
  tier as materialized (
    select t.price_id, t.from_input_tokens, t.input, t.cached_read, t.cache_write_5m, t.cache_write_1h, t.output, t.reasoning
      from tollgate.price_tiers t join named n on n.price_id = t.price_id
    union all
    select t.price_id, t.from_input_tokens, t.input, t.cached_read, t.cache_write_5m, t.cache_write_1h, t.output, t.reasoning
      from tollgate.price_override_tiers t join named n on n.price_id = t.price_id
      where t.organization_id = p_organization_id
  ),
  computed as (
    select s.request_id, s.model, s.cost, s.clamped, s.price_id, p.model as priced_model, h.amount as held,
           case when h.status = 'released' then 0
                else div((p.per_request::numeric * 1000000
                          + s.input_tokens::numeric * t.input + s.cached_read_tokens::numeric * t.cached_read
                          + s.cache_write_5m_tokens::numeric * t.cache_write_5m + s.cache_write_1h_tokens::numeric * t.cache_write_1h
                          + s.output_tokens::numeric * t.output + s.reasoning_tokens::numeric * t.reasoning)
                         * (10000 + s.markup_bps) + 9999999999, 10000000000) end as expected
      from slice s
      left join price p on p.price_id = s.price_id
      left join lateral (
        select t.* from tier t
          where t.price_id = s.price_id
            and t.from_input_tokens <= s.input_tokens::numeric + s.cached_read_tokens + s.cache_write_5m_tokens + s.cache_write_1h_tokens
          order by t.from_input_tokens desc limit 1) t on true
      left join lateral (
        select h.status, h.amount from tollgate.credit_holds h
          where h.organization_id = p_organization_id and h.request_id = s.request_id limit 1) h on true
  ),
  findings as (
    select format('usage %s costs %s and names no price', c.request_id, c.cost) as finding
      from computed c where c.price_id is null and c.cost > 0
    union all
    select format('usage %s names price %s, which is not there', c.request_id, c.price_id)
      from computed c where c.price_id is not null and (c.priced_model is null or c.expected is null)
    union all
    select format('usage %s is of %s and was priced as %s', c.request_id, c.model, c.priced_model)
      from computed c where c.priced_model <> c.model
    union all
    select format('usage %s costs %s, by its price it comes to %s', c.request_id, c.cost, c.expected)
      from computed c
      where c.expected <> c.cost
        -- If a crash has lost the hold, its amount is unknown.
        and not (c.clamped and (c.cost = c.held or coalesce(c.held, 0) = 0))
  ),
  last as (select s.arrived_at, s.request_id from slice s order by s.arrived_at desc, s.request_id desc limit 1)
  select (select count(*) from slice), (extract(epoch from l.arrived_at) * 1000000)::bigint, l.request_id,
         coalesce((select array_agg(f.finding) from (select finding from findings limit 100) f), '{}')
    from last l;
end $$;
