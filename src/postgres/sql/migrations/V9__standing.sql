-- What the gateway reads: an organization's policy, and the prices in force.

-- The policy as JSON, the operator's own switch, and the role of the claims' person by the membership
-- table. No row for an organization that is not here.
create or replace function tollgate.standing(p_organization_id uuid, p_claims text)
  returns table (policy text, suspended boolean, role text)
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform tollgate.enter(p_organization_id, p_claims);
  return query
    select coalesce(pol.policy, '{}')::text, org.suspended, tollgate.get_org_role(p_organization_id)
      from tollgate.organizations org
      left join tollgate.policies pol on pol.organization_id = org.organization_id
      where org.organization_id = p_organization_id;
end $$;

-- The latest price of each model, one row a tier.
create or replace function tollgate.price_book()
  returns table (price_id uuid, model text, provider text, mode text, per_request bigint, input_tokens_max bigint, output_tokens_max bigint,
                 from_input_tokens bigint, input bigint, cached_read bigint, cache_write_5m bigint, cache_write_1h bigint,
                 output bigint, reasoning bigint)
  language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  with in_force as (
    select distinct on (p.model) p.*
      from tollgate.prices p
      where p.effective_from <= now()
      order by p.model, p.effective_from desc, p.price_id desc
  )
  select p.price_id, p.model, p.provider, p.mode, p.per_request, p.input_tokens_max, p.output_tokens_max,
         t.from_input_tokens, t.input, t.cached_read, t.cache_write_5m, t.cache_write_1h, t.output, t.reasoning
    from in_force p
    join tollgate.price_tiers t on t.price_id = p.price_id
    order by p.model, t.from_input_tokens
$$;
