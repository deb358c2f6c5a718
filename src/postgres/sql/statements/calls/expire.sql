-- Expires overdue holds of one organization, and returns how many.
-- $1 organization, $2 claims, $3 the most holds
select tollgate.expire($1, $2, $3)
