-- Replaces the policy if it is still the one that was read, and tells the gateways. Returns one row if it was replaced.
-- $1 organization, $2 the new policy, $3 the one it replaces, or null for any
with changed as (
  update tollgate.policies
    set policy = $2::text::jsonb, updated_at = clock_timestamp(), updated_by = tollgate.uid()
    where organization_id = $1 and ($3::text is null or policy = $3::text::jsonb)
    returning organization_id
)
select pg_notify('tollgate_policy', organization_id::text) is null from changed
