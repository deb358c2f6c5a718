-- Deletes the rows of a range, and returns how many there were.
-- $1 organization, $2 table, $3 the key before the range, $4 its last key; null is no bound
select tollgate.move_clear($1, $2, $3, $4)
