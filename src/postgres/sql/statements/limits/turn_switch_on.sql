-- Turns a kill switch on unless it is on or too many are, and tells the gateways.
-- $1 organization, $2 scope, $3 id, empty for the whole organization, $4 reason, $5 how many may be on
with turned as (
  insert into tollgate.kill_switches (organization_id, scope, scope_id, reason, switched_by)
    select $1, $2, $3, $4, tollgate.uid()
      where (select count(*) from tollgate.kill_switches where organization_id = $1) < $5
    on conflict (organization_id, scope, scope_id) do nothing
    returning organization_id
)
select pg_notify('tollgate_policy', organization_id::text) is null from turned
