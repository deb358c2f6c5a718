-- Writes the organization's own row.
-- $1 organization, $2 the row
select tollgate.move_self_in($1, $2)
