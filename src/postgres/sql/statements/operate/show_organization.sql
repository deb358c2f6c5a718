-- An organization, its policy and its balance.
-- $1 organization
select o.name, o.suspended, o.time_zone, p.policy::text, b.posted, b.held, b.debt
  from tollgate.organizations o
  join tollgate.policies p on p.organization_id = o.organization_id
  join tollgate.credit_balances b on b.organization_id = o.organization_id
  where o.organization_id = $1
