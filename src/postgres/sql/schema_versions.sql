-- The migrations that this database has.
select version from tollgate.schema_history
