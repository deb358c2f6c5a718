-- The next organizations in order of their ids.
-- $1 the id after which, $2 how many at the most
select organization_id from tollgate.organizations where organization_id > $1 order by organization_id limit $2
