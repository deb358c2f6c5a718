-- The policy, the operator's switch, and the person's role by the membership table.
-- $1 organization, $2 claims
select policy, suspended, role from tollgate.standing($1, $2)
