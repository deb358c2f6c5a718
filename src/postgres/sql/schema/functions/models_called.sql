-- Which of these models an organization has called, among its next `p_limit` calls after a place in the order of their
-- arrival; and where those calls end. Read in slices, so that no snapshot stays open for long.
create or replace function tollgate.models_called(
  p_organization_id uuid, p_claims text, p_models text[], p_after_us bigint, p_after_id uuid, p_limit integer)
  returns table (models text[], calls bigint, last_us bigint, last_id uuid)
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_after timestamptz := coalesce(timestamptz 'epoch' + p_after_us * interval '1 microsecond', '-infinity');
  v_after_id uuid := coalesce(p_after_id, '00000000-0000-0000-0000-000000000000');
begin
  perform tollgate.enter_as_platform(p_organization_id, p_claims);
  return query
    with slice as materialized (
      select u.model, u.arrived_at, u.request_id
        from tollgate.usage u
        where u.organization_id = p_organization_id and (u.arrived_at, u.request_id) > (v_after, v_after_id)
        order by u.arrived_at, u.request_id
        limit p_limit
    ),
    last as (select s.arrived_at, s.request_id from slice s order by s.arrived_at desc, s.request_id desc limit 1)
    select (select coalesce(array_agg(distinct s.model), '{}') from slice s where s.model = any (p_models)),
           (select count(*) from slice),
           (extract(epoch from l.arrived_at) * 1000000)::bigint, l.request_id
      from last l;
end $$;
