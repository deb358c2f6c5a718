-- Every table, partition and view with a column organization_id. No parameters.
select c.relname::text
  from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'organization_id' and not a.attisdropped
  where c.relnamespace = 'tollgate'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
  order by c.relname
