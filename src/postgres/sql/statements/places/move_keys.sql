-- Keys of a table that cut what is behind one of them into ranges.
-- $1 organization, $2 table, $3 the key, or null
select tollgate.move_keys($1, $2, $3)
