-- Whether the schema exists. No parameters.
select exists (select from pg_catalog.pg_namespace where nspname = 'tollgate')
