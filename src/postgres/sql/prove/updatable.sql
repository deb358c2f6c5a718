-- A column of each table that a role may change, its own organization last.
-- $1 the role
select distinct on (t.relname) t.relname::text, a.attname::text
  from pg_class t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
  where t.relnamespace = 'tollgate'::regnamespace and t.relkind in ('r', 'p') and has_column_privilege($1, t.oid, a.attnum, 'UPDATE')
  order by t.relname, a.attname = 'organization_id', a.attnotnull desc, a.attname
