-- Every kill switch that is on, so that open calls can be cut. The switches of the operator and of the policy stop the
-- whole organization. One row for each switch: its scope and id.
-- $1 organization
select scope, scope_id from tollgate.kill_switches where organization_id = $1
union all
select 'organization', ''
  from tollgate.organizations o
  left join tollgate.policies p on p.organization_id = o.organization_id
  where o.organization_id = $1 and (o.suspended or coalesce((p.policy ->> 'suspended')::boolean, false))
