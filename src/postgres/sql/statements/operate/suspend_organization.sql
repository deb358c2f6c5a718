-- Turns the operator's kill switch on or off, and tells the gateways. One row if the organization is here.
-- $1 organization, $2 whether on, $3 reason
with changed as (
  update tollgate.organizations set suspended = $2, suspended_reason = case when $2 then $3 end
    where organization_id = $1 returning organization_id
)
select pg_notify('tollgate_policy', organization_id::text) is null from changed
