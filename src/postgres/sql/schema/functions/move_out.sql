-- The next rows of a range as text, each with its key: at most `p_rows`, and no more after `p_bytes` bytes.
create or replace function tollgate.move_out(p_organization_id uuid, p_table text, p_after text, p_until text, p_rows integer, p_bytes bigint)
  returns table (key text, line text)
  language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  keys constant text := coalesce(tollgate.key_list(p_table), 'organization_id');
begin
  return query execute format(
    'select s.key, s.line
       from (select s.*, sum(octet_length(s.line)) over (order by s.n rows between unbounded preceding and 1 preceding) as bytes_before
               from (select r.*, row_number() over () as n
                       from (select (select to_jsonb(k) from (select %1$s) k)::text as key, t::text as line
                               from tollgate.%2$I t where %3$s order by organization_id, %1$s limit $1) r) s) s
       where coalesce(s.bytes_before, 0) < $2 order by s.n',
    keys, p_table, tollgate.key_range(p_organization_id, p_table, p_after, p_until))
    using p_rows, p_bytes;
end $$;
