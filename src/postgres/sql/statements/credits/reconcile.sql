-- The totals of an organization's books, and every invariant that does not hold.
-- $1 organization, $2 claims
select posted, held, debt, charged, holds_open, expired, unbilled_max, broken from tollgate.reconcile($1, $2)
