-- Where the organization is, seen from here, and the state of its move.
-- $1 organization
select placement, place, moving_to, moved_from, held_up from tollgate.organizations where organization_id = $1
