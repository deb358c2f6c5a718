-- The next rows of a range.
-- $1 organization, $2 table, $3 the key to begin after, $4 the last key, $5 the most rows, $6 the most bytes
select key, line from tollgate.move_out($1, $2, $3, $4, $5, $6)
