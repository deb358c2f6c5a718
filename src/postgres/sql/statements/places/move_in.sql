-- Inserts rows, and returns how many.
-- $1 organization, $2 table, $3 the rows
select tollgate.move_in($1, $2, $3)
