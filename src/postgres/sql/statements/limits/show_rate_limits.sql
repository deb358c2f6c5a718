-- The rate limits of an organization, in the order of the scopes. If it is here, there is at least one row, which
-- may be all null.
-- $1 organization
select l.scope, l.scope_id, l.model_pattern, l.requests_per_minute, l.tokens_per_minute, l.calls_in_flight
  from tollgate.organizations o
  left join tollgate.rate_limits l on l.organization_id = o.organization_id
  where o.organization_id = $1
  order by array_position(array['organization', 'team', 'user', 'key'], l.scope), l.scope_id <> '*', l.scope_id, l.model_pattern
