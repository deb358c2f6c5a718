-- What a gateway must know about a caller before each call, in one statement: the policy, the widest kill switch that
-- is on for this caller, the role by the membership table, and the rate limits that this caller meets. A wildcard limit
-- ('*') counts under the caller's own id; a limit of the caller's own replaces it. No row if the organization is not
-- here.
create or replace function tollgate.standing(p_organization_id uuid, p_claims text)
  returns table (policy text, suspended text, role text, rates text)
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_claims jsonb;
begin
  perform tollgate.enter(p_organization_id, p_claims);
  v_claims := p_claims::jsonb;
  return query
    with caller (scope, id, width) as (
      values ('organization', '', 1), ('team', v_claims ->> 'team_id', 2), ('user', v_claims ->> 'sub', 3), ('key', v_claims ->> 'key_id', 4))
    select coalesce(pol.policy, '{}')::text,
           case when org.suspended or coalesce((pol.policy ->> 'suspended')::boolean, false) then 'organization'
                else (select s.scope from tollgate.kill_switches s join caller c on c.scope = s.scope and c.id = s.scope_id
                        where s.organization_id = p_organization_id order by c.width limit 1) end,
           tollgate.get_org_role(p_organization_id),
           (select coalesce(jsonb_agg(jsonb_build_object(
                     'scope', l.scope, 'scope_id', l.id, 'model_pattern', l.model_pattern,
                     'requests_per_minute', l.requests_per_minute, 'tokens_per_minute', l.tokens_per_minute, 'calls_in_flight', l.calls_in_flight)
                     order by l.width, l.model_pattern), '[]')::text
              from (select distinct on (r.scope, r.model_pattern) r.*, c.id, c.width
                      from tollgate.rate_limits r join caller c on c.scope = r.scope and c.id is not null and r.scope_id in (c.id, '*')
                      where r.organization_id = p_organization_id
                      order by r.scope, r.model_pattern, r.scope_id = '*') l)
      from tollgate.organizations org
      left join tollgate.policies pol on pol.organization_id = org.organization_id
      where org.organization_id = p_organization_id;
  perform tollgate.still_here(p_organization_id);
end $$;
