-- Where memberships are read from. For an administrator. No parameters.
select tollgate.membership_source()
