-- The functions that a role may call: name, and kind of each argument with its name.
-- $1 the role
select p.oid::regprocedure::text, p.proname::text,
       array(select coalesce(p.proargnames[i], '') from generate_series(1, p.pronargs) i),
       array(select format_type(p.proargtypes[i - 1], null) from generate_series(1, p.pronargs) i)
  from pg_proc p
  where p.pronamespace = 'tollgate'::regnamespace and p.prokind = 'f' and has_function_privilege($1, p.oid, 'EXECUTE')
  order by 1
