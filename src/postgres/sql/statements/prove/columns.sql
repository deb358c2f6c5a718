-- The columns of every table of organizations, and the constraints of each, as one document for each table. No
-- parameters.
select t.relname::text, jsonb_build_object(
  'columns', (select jsonb_agg(jsonb_build_object('name', a.attname, 'kind', format_type(a.atttypid, null),
                                                  'free', not a.attnotnull or a.atthasdef or a.attidentity <> '',
                                                  'fixed', a.attgenerated <> '' or a.attidentity = 'a') order by a.attnum)
                from pg_attribute a where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped),
  'constraints', (select coalesce(jsonb_agg(jsonb_build_object(
                    'name', k.conname, 'kind', k.contype, 'text', pg_get_constraintdef(k.oid),
                    'columns', (select jsonb_agg(a.attname order by u.n) from unnest(k.conkey) with ordinality u (attnum, n)
                                  join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.attnum),
                    'parent', (select p.relname from pg_class p where p.oid = k.confrelid),
                    'there', (select jsonb_agg(a.attname order by u.n) from unnest(k.confkey) with ordinality u (attnum, n)
                                join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.attnum))), '[]')
                    from pg_constraint k where k.conrelid = t.oid and k.contype in ('c', 'f', 'p')))::text
  from pg_class t
  where t.relnamespace = 'tollgate'::regnamespace and t.relkind in ('r', 'p') and not t.relispartition
    and exists (select from pg_attribute a where a.attrelid = t.oid and a.attname = 'organization_id' and not a.attisdropped)
  order by t.relname
