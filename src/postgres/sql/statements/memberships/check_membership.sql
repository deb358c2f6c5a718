-- The source of memberships, and what is wrong with it, or null.
select source, problem from tollgate.check_membership()
