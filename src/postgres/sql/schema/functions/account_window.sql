-- The window of a statement of account and the balances at both of its ends: those after the movements `opening_seq`
-- and `closing_seq`. `final` if no further movement can fall into the window. No row if the caller may not see the
-- organization.
--
-- Ledger and usage are append-only, so a window that is over reads the same forever.
create or replace function tollgate.account_window(p_organization_id uuid, p_from text, p_until text)
  returns table (name text, time_zone text, from_us bigint, until_us bigint, final boolean,
                 opening_seq bigint, opening_posted bigint, opening_held bigint, opening_debt bigint,
                 closing_seq bigint, closing_posted bigint, closing_held bigint, closing_debt bigint)
  language sql stable set search_path = pg_catalog, pg_temp as $$
  with
  bounds as materialized (
    select o.name, o.time_zone, tollgate.moment(p_from, o.time_zone) as from_at, tollgate.moment(p_until, o.time_zone) as until_at
      from tollgate.organizations o where o.organization_id = p_organization_id
  ),
  ends as materialized (
    select tollgate.ledger_seq_before(p_organization_id, b.from_at) as opening,
           tollgate.ledger_seq_before(p_organization_id, b.until_at) as closing
      from bounds b
  )
  select b.name, b.time_zone, (extract(epoch from b.from_at) * 1000000)::bigint, (extract(epoch from b.until_at) * 1000000)::bigint,
         -- The time of a movement is one within its transaction, which ends within seconds.
         b.until_at < clock_timestamp() - interval '1 minute',
         e.opening, coalesce(o.posted_after, 0), coalesce(o.held_after, 0), coalesce(o.debt_after, 0),
         e.closing, coalesce(c.posted_after, 0), coalesce(c.held_after, 0), coalesce(c.debt_after, 0)
    from bounds b
    cross join ends e
    left join tollgate.credit_ledger o on o.organization_id = p_organization_id and o.seq = e.opening
    left join tollgate.credit_ledger c on c.organization_id = p_organization_id and c.seq = e.closing
$$;
