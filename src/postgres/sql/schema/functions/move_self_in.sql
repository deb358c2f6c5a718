-- Writes an organization's own row as `move_self_out` returned it. An organization that is new here is `elsewhere`,
-- because it has not arrived yet.
create or replace function tollgate.move_self_in(p_organization_id uuid, p_self text) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  columns constant text := (
    select string_agg(quote_ident(a.attname), ', ' order by a.attnum) from pg_attribute a
      where a.attrelid = 'tollgate.organizations'::regclass and a.attnum > 0 and not a.attisdropped
        and p_self::jsonb ? a.attname and a.attname <> 'organization_id');
begin
  execute format(
    'insert into tollgate.organizations as o (organization_id, placement, %1$s)
       select $1, ''elsewhere'', %1$s from jsonb_populate_record(null::tollgate.organizations, $2)
       on conflict (organization_id) do update set (%1$s) = (select %2$s)', columns,
       (select string_agg('excluded.' || name, ', ') from unnest(string_to_array(columns, ', ')) as name))
    using p_organization_id, p_self::jsonb;
end $$;
