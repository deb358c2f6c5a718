-- Gives back the hold of a call that nobody waits for. Whether there was an open one.
-- $1 organization, $2 claims, $3 request
select tollgate.give_back($1, $2, $3)
