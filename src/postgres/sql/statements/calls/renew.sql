-- Heartbeats of open calls. The requests whose holds are open still.
-- $1 organization, $2 claims, $3 requests, $4 nano-dollars seen so far, $5 tokens, $6 milliseconds the holds stand from now
select tollgate.renew($1, $2, $3, $4, $5, $6)
