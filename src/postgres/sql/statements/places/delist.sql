-- Removes the row of an organization whose other rows are gone from here. Not for the directory.
-- $1 organization
delete from tollgate.organizations where organization_id = $1
