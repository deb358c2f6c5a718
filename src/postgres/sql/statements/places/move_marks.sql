-- What tells some ranges here from the same in another place.
-- $1 organization, $2 their tables, $3 the keys behind which they begin, $4 those with which they end, $5 whether to read
select rows, digest from tollgate.move_marks($1, $2, $3, $4, $5)
