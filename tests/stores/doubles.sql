-- For every key of the schema a row that it must refuse: a row that is there once more, with something else wherever
-- another key would refuse it too, or with a reference that points nowhere. Table, key, statement.
with tab as (
  select oid, relname::text from pg_class
    where relnamespace = 'tollgate'::regnamespace and relkind in ('r', 'p') and not relispartition),
col as (
  select a.attrelid, a.attnum, a.attname, not a.attnotnull as may_miss,
         format(case a.atttypid
           when 'uuid'::regtype then 'gen_random_uuid()' when 'text'::regtype then 'md5(random()::text)'
           when 'bytea'::regtype then 'sha256(random()::text::bytea)' when 'timestamptz'::regtype then 't.%1$I + interval ''1 hour'''
           else 't.%1$I + 1' end, a.attname) as other
    from pg_attribute a where a.attnum > 0 and not a.attisdropped),
-- Keys and unique indexes, and references. A key that has all columns of the primary key is there for a reference to name:
-- the primary key refuses before it.
key as (
  select t.oid, t.relname,
         coalesce((select q.relname from pg_index p join pg_class q on q.oid = p.indexrelid
                     where p.indrelid = t.oid and p.indisprimary and p.indkey::int2[] <@ x.indkey::int2[]), i.relname)::text as name, x.indkey::int2[] as columns, coalesce(pg_get_expr(x.indpred, t.oid), 'true') as rows, false as refers
    from pg_index x join tab t on t.oid = x.indrelid join pg_class i on i.oid = x.indexrelid where x.indisunique
  union all
  select t.oid, t.relname, k.conname, k.conkey, 'true', true
    from pg_constraint k join tab t on t.oid = k.conrelid where k.contype = 'f'),
changed as (
  select k.relname, k.name, k.rows, k.columns, c.attname,
         case when k.refers and cardinality(k.columns) = 1 and c.attnum = any (k.columns) then c.other
              -- A kind of movement is one of a few words.
              when c.attname in ('organization_id', 'kind') then null
              when k.refers and c.attnum = any (k.columns) then c.other
              when k.refers and cardinality(k.columns) = 1 then case when c.may_miss and of.refers then 'null' end
              when not c.attnum = any (k.columns) and not of.refers then c.other end as value
    from key k join key of on of.oid = k.oid join col c on c.attrelid = k.oid and c.attnum = any (of.columns))
select relname, name,
       format('insert into tollgate.%1$I select (jsonb_populate_record(null::tollgate.%1$I, to_jsonb(t) || jsonb_build_object(%2$s))).* from tollgate.%1$I t where %3$s limit 1',
              relname, coalesce(string_agg(distinct format('%L, %s', attname, value), ', ') filter (where value is not null), ''), rows)
  from changed group by relname, name, rows, columns order by 1, 2
