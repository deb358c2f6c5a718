-- Turns a kill switch off, and tells the gateways. One row if it was on.
-- $1 organization, $2 scope, $3 id, empty for the whole organization
with turned as (
  delete from tollgate.kill_switches where organization_id = $1 and scope = $2 and scope_id = $3
    returning organization_id
)
select pg_notify('tollgate_policy', organization_id::text) is null from turned
