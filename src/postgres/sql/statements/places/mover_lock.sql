-- One program moves an organization at a time; the session keeps the lock, and goes with its connection.
-- $1 what is locked
select pg_advisory_lock(hashtextextended($1, 0))
