-- A condition for the rows of an organization after one key and up to another. Null is no bound. Where
-- `organization_id` is the whole key, there is one row, and none after it.
create or replace function tollgate.key_range(p_organization_id uuid, p_table text, p_after text, p_until text) returns text
  language sql stable set search_path = pg_catalog, pg_temp as $$
  select format('organization_id = %L', p_organization_id)
      || case when p_after is null then '' when keys.list is null then ' and false'
              else format(' and (%s) > (%s)', keys.list, tollgate.key_values(p_table, p_after)) end
      || case when p_until is null or keys.list is null then ''
              else format(' and (%s) <= (%s)', keys.list, tollgate.key_values(p_table, p_until)) end
    from (select tollgate.key_list(p_table)) as keys (list)
$$;
