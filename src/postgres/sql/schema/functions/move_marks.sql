-- How many rows each range has; and, where `p_read` asks for it, the sum of the rows' hashes, which is the same for the
-- same rows in any order.
create or replace function tollgate.move_marks(
  p_organization_id uuid, p_tables text[], p_after text[], p_until text[], p_read boolean[])
  returns table (rows bigint, digest text)
  language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  for n in 1..cardinality(p_tables) loop
    return query execute format(
      'select count(*), %s from tollgate.%I t where %s',
      case when p_read[n] then 'coalesce(sum(hashtextextended(t::text, 0)), 0)::text'
           else '''''' end,
      p_tables[n], tollgate.key_range(p_organization_id, p_tables[n], p_after[n], p_until[n]));
  end loop;
end $$;
