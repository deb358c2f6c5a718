-- Sets credits and budget tokens aside, or says why not.
-- $1 organization, $2 claims, $3 request, $4 nano-dollars, $5 tokens, $6 milliseconds it stands
select result, available, budget_window, retry_after_ms from tollgate.hold($1, $2, $3, $4, $5, $6)
