-- When budgets reached their thresholds, or refused a call that no wait could help, the latest first. If the
-- organization is here, there is at least one row, which may be all null.
-- $1 organization, $2 the most rows
select e.scope, e.scope_id, e.window_kind, e.window_start::text, e.unit, e.percent, e.refused, e.used, e.cap,
       to_char(e.happened_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
  from tollgate.organizations o
  left join tollgate.budget_events e on e.organization_id = o.organization_id
  where o.organization_id = $1
  order by e.happened_at desc
  limit $2
