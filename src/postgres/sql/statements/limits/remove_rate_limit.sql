-- Removes a rate limit and tells the gateways. Returns one row if the organization is here: whether the limit existed.
-- $1 organization, $2 scope, $3 id in the scope, $4 model pattern
with removed as (
  delete from tollgate.rate_limits
    where organization_id = $1 and scope = $2 and scope_id = $3 and model_pattern = $4
    returning organization_id
),
told as (
  select organization_id, pg_notify('tollgate_policy', organization_id::text) from removed
)
select told.organization_id is not null
  from tollgate.organizations o
  left join told on told.organization_id = o.organization_id
  where o.organization_id = $1
