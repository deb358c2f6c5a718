-- The steps that this database has. No parameters.
select version, name from tollgate.schema_history
