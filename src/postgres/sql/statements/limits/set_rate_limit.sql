-- Sets a rate limit and tells the gateways. A null figure keeps the old limit, and 0 removes the limit. Returns one row
-- if the organization is here: whether a model with a price matches the pattern, and, if so, the limit as it is now.
-- $1 organization, $2 scope, $3 id in the scope, $4 model pattern, $5 requests a minute, $6 tokens a minute,
-- $7 calls in flight
with priced as (
  select $4 = '*' or exists (
           select from (select model from tollgate.prices
                        union all select model from tollgate.price_overrides where organization_id = $1) known
             where known.model = $4
                or $4 like '%*' and starts_with(known.model, left($4, -1))) as fits
),
written as (
  insert into tollgate.rate_limits as r
      (organization_id, scope, scope_id, model_pattern,
       requests_per_minute, tokens_per_minute, calls_in_flight, updated_by)
    -- The old figures are filled in here, too: a row without any is refused before the conflict makes it an update.
    select o.organization_id, $2, $3, $4,
           nullif(coalesce($5::bigint, l.requests_per_minute), 0),
           nullif(coalesce($6::bigint, l.tokens_per_minute), 0),
           nullif(coalesce($7::bigint, l.calls_in_flight), 0),
           tollgate.uid()
      from tollgate.organizations o
      cross join priced
      left join tollgate.rate_limits l on l.organization_id = o.organization_id
                                      and l.scope = $2 and l.scope_id = $3 and l.model_pattern = $4
      where o.organization_id = $1 and priced.fits
    on conflict (organization_id, scope, scope_id, model_pattern) do update set
      requests_per_minute = nullif(coalesce($5::bigint, r.requests_per_minute), 0),
      tokens_per_minute = nullif(coalesce($6::bigint, r.tokens_per_minute), 0),
      calls_in_flight = nullif(coalesce($7::bigint, r.calls_in_flight), 0),
      updated_at = clock_timestamp(), updated_by = excluded.updated_by
    returning r.*
),
told as (
  select organization_id, pg_notify('tollgate_policy', organization_id::text) from written
)
select priced.fits, w.requests_per_minute, w.tokens_per_minute, w.calls_in_flight
  from tollgate.organizations o
  cross join priced
  left join written w on w.organization_id = o.organization_id
  left join told on told.organization_id = o.organization_id
  where o.organization_id = $1
