-- The policy, the widest switch that is on, the person's role by the membership table, and further rates.
-- $1 organization, $2 claims
select policy, suspended, role, rates from tollgate.standing($1, $2)
