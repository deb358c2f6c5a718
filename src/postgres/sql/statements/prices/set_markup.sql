-- Sets the mark-up on list prices for an organization, from a moment on. Returns one row with that moment, null if it
-- is in the past. No row if the organization is not here.
-- $1 organization, $2 basis points, $3 the beginning as text, or null for now
with
beginning as materialized (
  select o.organization_id, tollgate.moment($3, o.time_zone) as from_at
    from tollgate.organizations o where o.organization_id = $1
),
markup as (
  insert into tollgate.price_markups (organization_id, effective_from, markup_bps, created_by)
    select b.organization_id, b.from_at, $2, tollgate.uid()
      from beginning b where b.from_at > clock_timestamp() - interval '1 minute'
    returning organization_id, effective_from
)
select (select (extract(epoch from m.effective_from) * 1000000)::bigint from markup m where m.organization_id = b.organization_id)
  from beginning b
