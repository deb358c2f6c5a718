-- Adds credits; a debt is paid first.
-- $1 organization, $2 claims, $3 nano-dollars, $4 the operator's own key of this grant, or null
select posted, held, debt, replayed from tollgate.grant_credits($1, $2, $3, $4)
