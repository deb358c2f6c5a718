-- The values of the columns of `key_columns`, from a key as JSON, as a list for SQL.
create or replace function tollgate.key_values(p_table text, p_key text) returns text
  language sql stable set search_path = pg_catalog, pg_temp as $$
  select string_agg(format('%L::%s', p_key::jsonb ->> k.name, format_type(a.atttypid, a.atttypmod)), ', ' order by k.n)
    from unnest(tollgate.key_columns(p_table)) with ordinality as k (name, n)
    join pg_attribute a on a.attrelid = to_regclass(format('tollgate.%I', p_table)) and a.attname = k.name
$$;
