-- The organization's own row.
-- $1 organization
select tollgate.move_self_out($1)
