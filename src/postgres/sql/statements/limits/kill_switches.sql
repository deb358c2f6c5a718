-- The kill switches that the organization's own people see and turn on and off; only one switch if a scope is given.
-- $1 organization, $2 scope or null, $3 id
select scope, scope_id, reason, switched_by, to_char(switched_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
  from tollgate.kill_switches
  where organization_id = $1 and ($2::text is null or (scope = $2 and scope_id = $3))
  order by array_position(array['organization', 'team', 'user', 'key'], scope), scope_id
