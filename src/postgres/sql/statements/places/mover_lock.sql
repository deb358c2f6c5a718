-- One program at a time moves an organization. The session keeps the lock until its connection ends.
-- $1 what is locked
select pg_advisory_lock(hashtextextended($1, 0))
