-- The books of one organization: their totals, and every invariant that does not hold. One statement reads everything,
-- so all of it is of one moment. The claims must name the organization and the platform role.
--
-- `expired` holds ended without a finish: what their calls used after the last heartbeat was not billed, and is at most
-- `unbilled_max`.
create or replace function tollgate.reconcile(p_organization_id uuid, p_claims text)
  returns table (posted bigint, held bigint, debt bigint, charged bigint, holds_open bigint, expired bigint, unbilled_max bigint, broken text[])
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform tollgate.enter_as_platform(p_organization_id, p_claims);
  return query
  with
  balance as materialized (select * from tollgate.credit_balances where organization_id = p_organization_id),
  movement as materialized (select * from tollgate.credit_ledger where organization_id = p_organization_id),
  one_hold as materialized (select * from tollgate.credit_holds where organization_id = p_organization_id),
  one_usage as materialized (select u.request_id, u.cost from tollgate.usage u where u.organization_id = p_organization_id),
  sums as (
    select coalesce(sum(d_posted), 0) as posted, coalesce(sum(d_held), 0) as held, coalesce(sum(d_debt), 0) as debt,
           count(*) as movements, coalesce(max(m.seq), 0) as last_seq,
           coalesce(sum(-d_posted) filter (where m.request_id is not null), 0) as charged
      from movement m),
  running as (
    select m.seq, m.posted_after, m.held_after, m.debt_after,
           sum(m.d_posted) over chain as posted, sum(m.d_held) over chain as held, sum(m.d_debt) over chain as debt
      from movement m window chain as (order by m.seq)),
  per_request as (
    select m.request_id, sum(-m.d_posted) filter (where m.kind <> 'hold') as charged, sum(m.d_debt) as debt, sum(m.d_held) as held
      from movement m where m.request_id is not null group by m.request_id),
  usages as (select u.request_id, count(*) as n, sum(u.cost) as cost from one_usage u group by u.request_id),
  -- Each hold in each window that it could count in.
  in_windows as (
    select w.scope, w.scope_id, w.kind, w.start, sum(h.tokens_used) as used, sum(h.charged + h.debt) as credits_used,
           coalesce(sum(h.tokens) filter (where h.status = 'open' and h.held_in & w.flag <> 0), 0) as held,
           coalesce(sum(h.amount) filter (where h.status = 'open' and h.held_in & w.flag <> 0), 0) as credits_held
      from one_hold h
      cross join lateral (values
        ('organization', '', 'day', h.day, 1), ('organization', '', 'month', h.month, 2),
        ('team', h.team_id::text, 'day', h.day, 4), ('team', h.team_id::text, 'month', h.month, 8),
        ('user', h.user_id, 'day', h.day, 16), ('user', h.user_id, 'month', h.month, 32),
        ('key', h.key_id::text, 'day', h.day, 64), ('key', h.key_id::text, 'month', h.month, 128)) as w (scope, scope_id, kind, start, flag)
      where w.scope_id is not null
      group by w.scope, w.scope_id, w.kind, w.start),
  windows as materialized (select u.* from tollgate.budget_usage u where u.organization_id = p_organization_id),
  findings as (
    select 'balance is missing' as finding where not exists (select from balance)
    union all
    select format('bounds: posted %s >= held %s >= 0, debt %s >= 0', b.posted, b.held, b.debt)
      from balance b where not (b.posted >= b.held and b.held >= 0 and b.debt >= 0)
    union all
    select format('posted %s, ledger says %s', b.posted, s.posted) from balance b, sums s where b.posted <> s.posted
    union all
    select format('held %s, ledger says %s', b.held, s.held) from balance b, sums s where b.held <> s.held
    union all
    select format('debt %s, ledger says %s', b.debt, s.debt) from balance b, sums s where b.debt <> s.debt
    union all
    select format('seq %s, ledger has %s movements up to %s', b.seq, s.movements, s.last_seq)
      from balance b, sums s where b.seq <> s.last_seq or s.movements <> s.last_seq
    union all
    select format('ledger %s: the balance after it is not the sum before it', r.seq)
      from running r where (r.posted_after, r.held_after, r.debt_after) is distinct from (r.posted, r.held, r.debt)
    union all
    select format('held %s, open holds come to %s', b.held, o.amount)
      from balance b, (select coalesce(sum(h.amount), 0) as amount from one_hold h where h.status = 'open') o where b.held <> o.amount
    union all
    select format('hold %s: refund %s of %s', h.request_id, h.refund, h.amount)
      from one_hold h where h.refund < 0 or h.refund > h.amount or (h.status <> 'open' and h.refund <> greatest(h.amount - h.charged, 0))
    union all
    select format('hold %s: charged %s and owed %s, ledger says %s and %s', h.request_id, h.charged, h.debt, coalesce(p.charged, 0), coalesce(p.debt, 0))
      from one_hold h left join per_request p on p.request_id = h.request_id
      where (h.charged, h.debt) is distinct from (coalesce(p.charged, 0), coalesce(p.debt, 0))
    union all
    select format('hold %s is %s, ledger holds %s for it', h.request_id, h.status, coalesce(p.held, 0))
      from one_hold h left join per_request p on p.request_id = h.request_id
      where coalesce(p.held, 0) <> case h.status when 'open' then h.amount else 0 end
    union all
    select format('ledger names %s, which has no hold', p.request_id)
      from per_request p where not exists (select from one_hold h where h.request_id = p.request_id)
    union all
    select format('budget of %s %s, %s from %s: holds %s tokens and %s credits, open holds come to %s and %s',
                  w.scope, w.scope_id, w.window_kind, w.window_start, w.held, w.credits_held, coalesce(t.held, 0), coalesce(t.credits_held, 0))
      from windows w left join in_windows t on t.scope = w.scope and t.scope_id = w.scope_id and t.kind = w.window_kind and t.start = w.window_start
      where (w.held, w.credits_held) is distinct from (coalesce(t.held, 0)::bigint, coalesce(t.credits_held, 0)::bigint)
    union all
    select format('budget of %s %s, %s from %s: %s tokens and %s credits used, its calls come to %s and %s',
                  w.scope, w.scope_id, w.window_kind, w.window_start, w.used, w.credits_used, coalesce(t.used, 0), coalesce(t.credits_used, 0))
      from windows w left join in_windows t on t.scope = w.scope and t.scope_id = w.scope_id and t.kind = w.window_kind and t.start = w.window_start
      where (w.used, w.credits_used) is distinct from (coalesce(t.used, 0)::bigint, coalesce(t.credits_used, 0)::bigint)
    union all
    select format('hold %s is held in budget %s of %s %s, which has no row', h.request_id, w.kind, w.scope, w.scope_id)
      from one_hold h
      cross join lateral (values
        ('organization', '', 'day', h.day, 1), ('organization', '', 'month', h.month, 2),
        ('team', h.team_id::text, 'day', h.day, 4), ('team', h.team_id::text, 'month', h.month, 8),
        ('user', h.user_id, 'day', h.day, 16), ('user', h.user_id, 'month', h.month, 32),
        ('key', h.key_id::text, 'day', h.day, 64), ('key', h.key_id::text, 'month', h.month, 128)) as w (scope, scope_id, kind, start, flag)
      where h.status = 'open' and h.held_in & w.flag <> 0 and not exists (
        select from windows u where u.scope = w.scope and u.scope_id = w.scope_id and u.window_kind = w.kind and u.window_start = w.start)
    union all
    select format('hold %s is %s and has %s usage rows', h.request_id, h.status, coalesce(u.n, 0))
      from one_hold h left join usages u on u.request_id = h.request_id
      where coalesce(u.n, 0) <> 1 and h.status in ('settled', 'released')
    union all
    select format('usage %s costs %s, ledger took %s and is owed %s', u.request_id, u.cost, coalesce(p.charged, 0), coalesce(p.debt, 0))
      from usages u left join per_request p on p.request_id = u.request_id
      where u.cost <> coalesce(p.charged, 0) + coalesce(p.debt, 0)
        -- An expiry may have charged more than the final cost, by a heartbeat. The difference is not paid back.
        and not exists (select from one_hold h where h.request_id = u.request_id and h.used > u.cost)
  )
  select coalesce(b.posted, 0), coalesce(b.held, 0), coalesce(b.debt, 0), s.charged::bigint,
         (select count(*) from one_hold h where h.status = 'open'),
         (select count(*) from one_hold h where h.status = 'expired'),
         (select coalesce(sum(greatest(h.amount - h.charged - h.debt, 0)), 0)::bigint from one_hold h where h.status = 'expired'),
         coalesce((select array_agg(f.finding) from (select finding from findings limit 100) f), '{}')
    from sums s left join balance b on true;
end $$;
