-- Whether an organization is at rest: it is not being moved, and a move has left no old rows.
-- $1 organization
select moving_to is null and moved_from is null from tollgate.organizations where organization_id = $1
