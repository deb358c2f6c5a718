-- How often the data of this server have been taken over from another one; null where it is a standby itself.
select case when not pg_is_in_recovery() then ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint end
