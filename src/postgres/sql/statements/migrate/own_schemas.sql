-- The schemas that organizations have of their own here. No parameters.
select nspname::text from pg_namespace where nspname ~ '^tollgate_[0-9a-f]{32}$' order by nspname
