-- Which variants of functions are in force: whether claims must be sealed, and whether memberships are read from
-- LiteLLM's table. Read from the catalog, because the functions may not exist yet. No parameters.
select exists (select from pg_catalog.pg_proc where oid = to_regprocedure('tollgate.sealing()') and prosrc = 'select true'),
       exists (select from pg_catalog.pg_proc where oid = to_regprocedure('tollgate.membership_source()')
                 and pg_catalog.pg_get_function_sqlbody(oid) like '%litellm%')
