-- Organizations that have overdue holds. Not on the request path: it asks every organization.
-- $1 how many at the most
select distinct organization_id
  from tollgate.credit_holds
  where status = 'open' and expires_at <= clock_timestamp()
  limit $1
