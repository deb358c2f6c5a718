-- The tables in which an organization has rows here, and how many. Its row in `organizations` is not counted.
create or replace function tollgate.rows_here(p_organization_id uuid) returns table (name text, rows bigint)
  language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  for name in select m.name from tollgate.movable() m loop
    execute format('select count(*) from tollgate.%I where organization_id = $1', name) into rows using p_organization_id;
    continue when rows = 0;
    return next;
  end loop;
end $$;
