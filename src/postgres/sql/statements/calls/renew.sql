-- Writes heartbeats of open calls. Returns the requests whose holds are still open.
-- $1 organization, $2 claims, $3 requests, $4 nano-dollars seen so far, $5 tokens,
-- $6 milliseconds from now until the holds expire
select tollgate.renew($1, $2, $3, $4, $5, $6)
