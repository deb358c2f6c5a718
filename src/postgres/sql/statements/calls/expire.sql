-- Expires overdue holds of one organization, and counts them.
-- $1 organization, $2 claims, $3 how many at the most
select tollgate.expire($1, $2, $3)
