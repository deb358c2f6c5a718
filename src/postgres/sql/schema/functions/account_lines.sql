-- The next movements of an account after the movement `p_after` and up to `p_last`, in their order, each with what is
-- known of its call. Runs with the caller's rights.
--
-- Statements of account are read in slices by key, so that no snapshot stays open while calls go on. The usage and
-- the hold of a row are looked up by key, `lateral` and with a limit: otherwise the planner reads all of an
-- organization's rows for each slice.
create or replace function tollgate.account_lines(p_organization_id uuid, p_after bigint, p_last bigint, p_limit integer)
  returns table (seq bigint, at_us bigint, day text, kind text, request_id uuid, reference text,
                 d_posted bigint, d_held bigint, d_debt bigint, posted_after bigint, held_after bigint, debt_after bigint,
                 user_id text, team_id uuid, model text, price_id uuid, markup_bps integer,
                 input_tokens bigint, cached_read_tokens bigint, cache_write_5m_tokens bigint, cache_write_1h_tokens bigint,
                 output_tokens bigint, reasoning_tokens bigint)
  language sql stable set search_path = pg_catalog, pg_temp as $$
  with line as materialized (
    select l.* from tollgate.credit_ledger l
      where l.organization_id = p_organization_id and l.seq > p_after and l.seq <= p_last
      order by l.seq
      limit p_limit
  )
  select l.seq, (extract(epoch from l.created_at) * 1000000)::bigint, to_char(l.created_at at time zone o.time_zone, 'YYYY-MM-DD'),
         l.kind, l.request_id, l.reference, l.d_posted, l.d_held, l.d_debt, l.posted_after, l.held_after, l.debt_after,
         coalesce(u.user_id, nullif(h.user_id, '')), coalesce(u.team_id, h.team_id), u.model, u.price_id, u.markup_bps,
         u.input_tokens, u.cached_read_tokens, u.cache_write_5m_tokens, u.cache_write_1h_tokens, u.output_tokens, u.reasoning_tokens
    from line l
    join tollgate.organizations o on o.organization_id = p_organization_id
    left join lateral (
      select u.* from tollgate.usage u
        where u.organization_id = p_organization_id and u.arrived_at = tollgate.arrived_at(l.request_id) and u.request_id = l.request_id
        limit 1) u on true
    left join lateral (
      select h.user_id, h.team_id from tollgate.credit_holds h
        where h.organization_id = p_organization_id and h.request_id = l.request_id limit 1) h on true
    order by l.seq
$$;
