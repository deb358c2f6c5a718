-- Deletes the own row of an organization whose other rows have been deleted here. Not for the directory.
-- $1 organization
delete from tollgate.organizations where organization_id = $1
