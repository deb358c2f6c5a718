-- The columns of a table's primary key after `organization_id`, in their order.
create or replace function tollgate.key_columns(p_table text) returns text[]
  language sql stable set search_path = pg_catalog, pg_temp as $$
  select array(select a.attname::text
                 from pg_index i cross join lateral unnest(i.indkey::int2[]) with ordinality as k (attnum, n)
                 join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
                 where i.indrelid = to_regclass(format('tollgate.%I', p_table)) and i.indisprimary and a.attname <> 'organization_id'
                 order by k.n)
$$;
