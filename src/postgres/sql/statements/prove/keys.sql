-- Every key of the schema as the catalog writes it, with its table: primary, unique, foreign and exclusion constraints,
-- and unique indexes that are none of these. Partitions have those of their table.
with tab as (
  select oid, relname::text from pg_class
    where relnamespace = 'tollgate'::regnamespace and relkind in ('r', 'p') and not relispartition)
select t.relname, replace(pg_get_constraintdef(k.oid), 'tollgate.', '')
  from pg_constraint k join tab t on t.oid = k.conrelid
  where k.contype in ('p', 'u', 'f', 'x') and k.conparentid = 0
union all
select t.relname, replace(regexp_replace(pg_get_indexdef(i.indexrelid), '^CREATE (UNIQUE INDEX) \S+ ON (ONLY )?\S+', '\1'), 'tollgate.', '')
  from pg_index i join tab t on t.oid = i.indrelid
  where i.indisunique and not exists (select from pg_constraint k where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x'))
order by 1, 2
