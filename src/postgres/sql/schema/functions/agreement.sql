-- What was agreed with an organization and is in force at a moment (null: now): the mark-up on list prices, and each
-- agreed price, one row for each tier. Without an agreed price there is one row, which has the mark-up and no price.
create or replace function tollgate.agreement(p_organization_id uuid, p_claims text, p_at timestamptz)
  returns table (markup_bps integer, price_id uuid, model text, per_request bigint, from_input_tokens bigint, input bigint, cached_read bigint,
                 cache_write_5m bigint, cache_write_1h bigint, output bigint, reasoning bigint)
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_at timestamptz := coalesce(p_at, clock_timestamp());
begin
  perform tollgate.enter(p_organization_id, p_claims);
  return query
    with agreed as (
      select distinct on (o.model) o.*
        from tollgate.price_overrides o
        where o.organization_id = p_organization_id and o.effective_from <= v_at
        order by o.model, o.effective_from desc
    )
    select coalesce((select m.markup_bps from tollgate.price_markups m
                       where m.organization_id = p_organization_id and m.effective_from <= v_at
                       order by m.effective_from desc limit 1), 0),
           p.price_id, p.model, p.per_request, p.from_input_tokens, p.input, p.cached_read, p.cache_write_5m, p.cache_write_1h, p.output, p.reasoning
      from (values (true)) as one (row)
      left join (
        select a.price_id, a.model, a.per_request, t.from_input_tokens, t.input, t.cached_read, t.cache_write_5m, t.cache_write_1h, t.output, t.reasoning
          from agreed a
          join tollgate.price_override_tiers t on t.organization_id = p_organization_id and t.price_id = a.price_id
          where not a.withdrawn
      ) as p on true
      order by p.model, p.from_input_tokens;
  if not tollgate.still_here(p_organization_id) then
    raise exception 'no such organization' using errcode = 'TG404';
  end if;
end $$;
