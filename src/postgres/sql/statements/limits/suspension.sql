-- Whether the operator has suspended the organization, why, and whether its policy suspends it.
-- $1 organization
select o.suspended, o.suspended_reason, coalesce((p.policy ->> 'suspended')::boolean, false)
  from tollgate.organizations o
  left join tollgate.policies p on p.organization_id = o.organization_id
  where o.organization_id = $1
