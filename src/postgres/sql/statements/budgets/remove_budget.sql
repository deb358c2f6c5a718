-- Removes a budget. Returns one row if the organization is here: whether the budget existed.
-- $1 organization, $2 scope, $3 id in the scope, $4 day or month
with removed as (
  delete from tollgate.budgets
    where organization_id = $1 and scope = $2 and scope_id = $3 and window_kind = $4
    returning organization_id
)
select r.organization_id is not null
  from tollgate.organizations o
  left join removed r on r.organization_id = o.organization_id
  where o.organization_id = $1
