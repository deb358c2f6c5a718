-- Deletes the rows of a range, and returns how many there were.
create or replace function tollgate.move_clear(p_organization_id uuid, p_table text, p_after text, p_until text) returns bigint
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  n bigint;
begin
  execute format('delete from tollgate.%I where %s', p_table, tollgate.key_range(p_organization_id, p_table, p_after, p_until));
  get diagnostics n = row_count;
  return n;
end $$;
