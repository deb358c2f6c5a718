-- The columns of `key_columns` as a list for SQL.
create or replace function tollgate.key_list(p_table text) returns text
  language sql stable set search_path = pg_catalog, pg_temp as $$
  select (select string_agg(quote_ident(name), ', ' order by n) from unnest(tollgate.key_columns(p_table)) with ordinality as k (name, n))
$$;
