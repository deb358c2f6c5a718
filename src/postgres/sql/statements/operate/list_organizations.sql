-- The next organizations in the order of their ids.
-- $1 the id to begin after, $2 the most organizations
select organization_id from tollgate.organizations where organization_id > $1 order by organization_id limit $2
