-- Keys that cut the rows of a table after a key into ranges.
-- $1 organization, $2 table, $3 the key, or null
select tollgate.move_keys($1, $2, $3)
