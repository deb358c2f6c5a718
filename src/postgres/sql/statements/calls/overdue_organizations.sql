-- Organizations that have overdue holds. Not on the request path: it reads the holds of every organization.
-- $1 the most organizations
select distinct organization_id
  from tollgate.credit_holds
  where status = 'open' and expires_at <= clock_timestamp()
  limit $1
