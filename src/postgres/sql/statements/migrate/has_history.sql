-- Whether any step was ever applied to this schema. No parameters.
select to_regclass('tollgate.schema_history') is not null
