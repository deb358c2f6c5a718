-- Keys of an organization's rows after one key, in order: every ten thousandth; of the last ten thousand rows, where
-- most changes are, every five hundredth; and the last.
create or replace function tollgate.move_keys(p_organization_id uuid, p_table text, p_after text) returns setof text
  language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  keys constant text := tollgate.key_list(p_table);
begin
  if keys is null then
    return;
  end if;
  return query execute format(
    'select (to_jsonb(k) - ''n'' - ''others'')::text
       from (select %1$s, row_number() over (order by %1$s) as n, count(*) over () as others from tollgate.%2$I where %3$s) k
       where n %% 10000 = 0 or (n %% 500 = 0 and n > others - 10000) or n = others order by n',
    keys, p_table, tollgate.key_range(p_organization_id, p_table, p_after, null));
end $$;
