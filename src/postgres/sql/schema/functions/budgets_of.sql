-- The budgets that a caller meets: for each scope the caller's own budget or else the wildcard's ('*'), and the
-- policy's. `flag` is the window's bit in `credit_holds.held_in`; `since` is when the budget was set.
create or replace function tollgate.budgets_of(p_organization_id uuid, p_user_id text, p_team_id uuid, p_key_id uuid)
  returns table (scope text, scope_id text, window_kind text, flag integer, tokens_max numeric, credits_max numeric, since timestamptz)
  language sql stable set search_path = pg_catalog, pg_temp as $$
  with caller (scope, id, place) as (
    values ('organization', '', 0), ('team', p_team_id::text, 2), ('user', p_user_id, 4), ('key', p_key_id::text, 6)),
  set_for as (
    select distinct on (b.scope, b.window_kind) b.scope, c.id as scope_id, b.window_kind, c.place, b.tokens_max::numeric, b.credits_max::numeric, b.updated_at
      from tollgate.budgets b join caller c on c.scope = b.scope and c.id is not null and b.scope_id in (c.id, '*')
      where b.organization_id = p_organization_id
      order by b.scope, b.window_kind, b.scope_id = '*'),
  by_policy as (
    select 'organization' as scope, '' as scope_id, w.kind as window_kind, 0 as place, w.tokens_max, null::numeric as credits_max, p.updated_at
      from tollgate.policies p
      cross join lateral (values ('day', (p.policy #>> '{budgets,daily_tokens}')::numeric),
                                 ('month', (p.policy #>> '{budgets,monthly_tokens}')::numeric)) as w (kind, tokens_max)
      where p.organization_id = p_organization_id and w.tokens_max is not null)
  select b.scope, b.scope_id, b.window_kind, 1 << (b.place + (b.window_kind = 'month')::integer),
         min(b.tokens_max), min(b.credits_max), max(b.updated_at)
    from (select * from set_for union all select * from by_policy) b
    group by b.scope, b.scope_id, b.window_kind, b.place
$$;
