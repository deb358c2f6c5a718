-- Inserts rows that `move_out` returned as text, and returns how many.
create or replace function tollgate.move_in(p_organization_id uuid, p_table text, p_lines text[]) returns bigint
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  columns constant text[] := array(
    select quote_ident(a.attname) from pg_attribute a
      where a.attrelid = to_regclass(format('tollgate.%I', p_table)) and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
      order by a.attnum);
  n bigint;
begin
  execute format(
    'insert into tollgate.%1$I (%2$s) select (s.r).%3$s from (select l::tollgate.%1$I as r from unnest($1) as l offset 0) s where (s.r).organization_id = $2',
    p_table, array_to_string(columns, ', '), array_to_string(columns, ', (s.r).'))
    using p_lines, p_organization_id;
  get diagnostics n = row_count;
  return n;
end $$;
