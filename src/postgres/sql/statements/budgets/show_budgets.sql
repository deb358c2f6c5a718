-- The budgets of an organization, also those of its policy, each with all of its current windows that have a row. If
-- the organization is here, there is at least one row, which may be all null.
-- $1 organization
select b.scope, b.scope_id, b.window_kind, b.tokens_max, b.credits_max, u.scope_id, u.window_start::text, u.used, u.held, u.credits_used, u.credits_held
  from tollgate.organizations o
  left join lateral (
    select g.scope, g.scope_id, g.window_kind, g.tokens_max, g.credits_max
      from tollgate.budgets g where g.organization_id = o.organization_id
    union all
    select 'organization', '', w.kind, least(w.tokens_max, 9223372036854775807)::bigint, null
      from tollgate.policies p
      cross join lateral (values ('day', (p.policy #>> '{budgets,daily_tokens}')::numeric),
                                 ('month', (p.policy #>> '{budgets,monthly_tokens}')::numeric)) as w (kind, tokens_max)
      where p.organization_id = o.organization_id and w.tokens_max is not null) b on true
  left join tollgate.budget_usage u
    on u.organization_id = o.organization_id and u.scope = b.scope and u.window_kind = b.window_kind
    and (u.scope_id = b.scope_id
         or (b.scope_id = '*' and not exists (select from tollgate.budgets own where own.organization_id = o.organization_id
               and own.scope = b.scope and own.window_kind = b.window_kind and own.scope_id = u.scope_id)))
    and u.window_start = case b.window_kind when 'day' then (now() at time zone o.time_zone)::date
                              else date_trunc('month', now() at time zone o.time_zone)::date end
  where o.organization_id = $1
  order by array_position(array['organization', 'team', 'user', 'key'], b.scope), b.scope_id <> '*', b.scope_id, b.window_kind,
           u.credits_used desc nulls last, u.used desc, u.scope_id
  limit 1000
