-- Where the rows of an organization are.
-- $1 organization
select placement, place from tollgate.organizations where organization_id = $1
