-- What an organization's books come to, and what is wrong with them.
-- $1 organization, $2 claims
select posted, held, debt, charged, holds_open, expired, unbilled_max, broken from tollgate.reconcile($1, $2)
