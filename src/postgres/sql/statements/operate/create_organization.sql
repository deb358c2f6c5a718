-- Adds an organization with an empty balance and the default policy. Returns false if it exists already.
-- $1 organization, $2 claims, $3 name, $4 time zone
select tollgate.create_organization($1, $2, $3, $4)
