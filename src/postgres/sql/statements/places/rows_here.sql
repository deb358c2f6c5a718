-- The tables in which the organization has rows here, and how many.
-- $1 organization
select name, rows from tollgate.rows_here($1)
