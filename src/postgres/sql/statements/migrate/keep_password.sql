-- Keeps a password for the rest of the session, for the statement that follows.
-- $1 password
select set_config('tollgate.first_password', $1, false)
