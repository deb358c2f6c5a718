-- The marks of ranges, which are compared with those of the same ranges in another place.
-- $1 organization, $2 their tables, $3 the keys before the ranges, $4 their last keys, $5 whether to read the rows
select rows, digest from tollgate.move_marks($1, $2, $3, $4, $5)
