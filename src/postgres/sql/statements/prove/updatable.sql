-- For each table, one column that the role may change: organization_id only if it is the only one. No computed columns.
-- $1 the role; $2 the only table that is asked about, or null
select distinct on (t.relname) t.relname::text, a.attname::text
  from pg_class t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
  where t.relnamespace = 'tollgate'::regnamespace and t.relkind in ('r', 'p') and not t.relispartition and t.relname = coalesce($2, t.relname)
    and has_column_privilege($1, t.oid, a.attnum, 'UPDATE')
  order by t.relname, a.attname = 'organization_id', a.attnotnull desc, a.attname
