-- Whether nothing is under way with an organization.
-- $1 organization
select moving_to is null and moved_from is null from tollgate.organizations where organization_id = $1
