-- Removes a range; how many rows that were.
-- $1 organization, $2 table, $3 behind which key, $4 up to which
select tollgate.move_clear($1, $2, $3, $4)
