-- One process migrates at a time; the others wait for a bounded time. The session keeps the lock.
set lock_timeout = '60s';
set client_min_messages = 'warning';
select pg_advisory_lock(hashtextextended('tollgate.migrations', 0));
