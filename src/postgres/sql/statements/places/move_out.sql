-- The next rows of a range.
-- $1 organization, $2 table, $3 behind which key, $4 up to which, $5 how many at the most, $6 and how many bytes
select key, line from tollgate.move_out($1, $2, $3, $4, $5, $6)
