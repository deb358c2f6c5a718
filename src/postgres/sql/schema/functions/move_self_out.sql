-- An organization's own row as JSON, without the columns that say where the organization is.
create or replace function tollgate.move_self_out(p_organization_id uuid) returns text
  language sql stable set search_path = pg_catalog, pg_temp as $$
  select (to_jsonb(o) - array['placement', 'place', 'moving_to', 'held_up', 'moved_from'])::text
    from tollgate.organizations o where o.organization_id = p_organization_id
$$;
