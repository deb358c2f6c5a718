-- The tables that a move copies: their columns; the primary key after `organization_id`; whether that is the only key;
-- whether rows never change once they are written; and the tables that they reference with a foreign key.
create or replace function tollgate.movable()
  returns table (name text, columns text, key_columns text[], one_key boolean, append_only boolean, points_at text[])
  language sql stable set search_path = pg_catalog, pg_temp as $$
  select c.relname::text,
         (select string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' order by a.attnum)
            from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
         tollgate.key_columns(c.relname::text),
         not exists (select from pg_index i where i.indrelid = c.oid and i.indisunique and not i.indisprimary),
         not exists (
           select from (select c.relacl union all select a.attacl from pg_attribute a where a.attrelid = c.oid) as given (acl)
             cross join lateral aclexplode(given.acl) as g
             where g.privilege_type in ('UPDATE', 'DELETE') and g.grantee not in (c.relowner, 'tollgate_mover'::regrole)),
         array(select distinct p.relname::text from pg_constraint k join pg_class p on p.oid = k.confrelid
                 where k.conrelid = c.oid and k.contype = 'f' and p.oid <> c.oid
                   and p.relnamespace = c.relnamespace and p.relname <> 'organizations')
    from pg_class c join pg_attribute o on o.attrelid = c.oid and o.attname = 'organization_id' and not o.attisdropped
    where c.relnamespace = 'tollgate'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
      and c.relname <> 'organizations'
    order by c.relname
$$;
