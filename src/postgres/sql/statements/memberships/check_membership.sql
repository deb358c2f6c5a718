-- Where memberships are read from, and what is wrong with that, if anything.
select source, problem from tollgate.check_membership()
