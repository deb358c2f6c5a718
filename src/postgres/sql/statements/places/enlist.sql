-- Adds an organization to the directory, whose rows are in another place. Returns a row if it was not listed yet.
-- $1 organization, $2 name, $3 time zone, $4 placement, $5 place
insert into tollgate.organizations (organization_id, name, time_zone, placement, place)
  values ($1, $2, $3, $4, $5)
  on conflict (organization_id) do nothing
  returning organization_id
