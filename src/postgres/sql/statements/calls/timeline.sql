-- The timeline of this server, which grows by one with each promotion; null if the server is a standby.
select case when not pg_is_in_recovery() then ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint end
