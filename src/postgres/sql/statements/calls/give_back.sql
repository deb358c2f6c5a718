-- Gives back the holds of calls for which no client waits any more, and returns how many were open.
-- $1 organization, $2 claims, $3 requests
select tollgate.give_back($1, $2, $3)
