-- Sets credits and budget tokens aside for these calls in their order, or says why not: one row for each call.
-- $1 organization, $2 claims, $3 requests, $4 nano-dollars, $5 tokens, $6 milliseconds until they expire, $7 users,
-- $8 teams, $9 keys
select result, available, may_wait, scope, window_kind, unit, retry_after_ms from tollgate.hold($1, $2, $3, $4, $5, $6, $7, $8, $9)
