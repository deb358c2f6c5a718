-- What the operator's staff does to an organization. The claims must name it, and the platform role.

create or replace function tollgate.enter_as_platform(p_organization_id uuid, p_claims text) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform tollgate.enter(p_organization_id, p_claims);
  if not tollgate.is_platform() then
    raise exception 'only for the platform role' using errcode = '42501';
  end if;
end $$;

-- An organization with an empty balance and the default policy. False if it is there already.
create or replace function tollgate.create_organization(p_organization_id uuid, p_claims text, p_name text, p_time_zone text) returns boolean
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform tollgate.enter_as_platform(p_organization_id, p_claims);
  insert into tollgate.organizations (organization_id, name, time_zone) values (p_organization_id, p_name, p_time_zone)
    on conflict (organization_id) do nothing;
  if not found then
    return false;
  end if;
  insert into tollgate.policies (organization_id) values (p_organization_id);
  insert into tollgate.credit_balances (organization_id) values (p_organization_id);
  return true;
end $$;

-- Adds credits, of which a debt is paid first. Repeating a reference changes nothing; the same
-- reference with another amount is refused (TG409).
create or replace function tollgate.grant_credits(p_organization_id uuid, p_claims text, p_amount bigint, p_reference text,
  out posted bigint, out held bigint, out debt bigint, out replayed boolean)
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  b tollgate.credit_balances;
  v_before bigint;
  v_debt_paid bigint;
begin
  if p_amount is null or p_amount <= 0 then
    raise exception 'a grant is more than nothing' using errcode = '22023';
  end if;
  perform tollgate.enter_as_platform(p_organization_id, p_claims);
  select * into b from tollgate.credit_balances where organization_id = p_organization_id for update;
  if not found then
    raise exception 'no such organization' using errcode = 'TG404';
  end if;
  replayed := false;
  if p_reference is not null then
    select l.d_posted - l.d_debt into v_before from tollgate.credit_ledger l
      where l.organization_id = p_organization_id and l.reference = p_reference;
    replayed := found;
    if replayed and v_before <> p_amount then
      raise exception 'the reference stands for another amount' using errcode = 'TG409';
    end if;
  end if;
  if not replayed then
    v_debt_paid := least(b.debt, p_amount);
    update tollgate.credit_balances as c
      set posted = c.posted + p_amount - v_debt_paid, debt = c.debt - v_debt_paid, seq = c.seq + 1
      where c.organization_id = p_organization_id
      returning * into b;
    insert into tollgate.credit_ledger (organization_id, seq, kind, reference, d_posted, d_held, d_debt, posted_after, held_after, debt_after)
      values (p_organization_id, b.seq, 'grant', p_reference, p_amount - v_debt_paid, 0, -v_debt_paid, b.posted, b.held, b.debt);
  end if;
  posted := b.posted;
  held := b.held;
  debt := b.debt;
end $$;

-- The books of one organization: what they come to, and every invariant that is broken. One
-- statement reads everything, so all of it is of one moment.
create or replace function tollgate.reconcile(p_organization_id uuid, p_claims text)
  returns table (posted bigint, held bigint, debt bigint, charged bigint, holds_open bigint, broken text[])
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform tollgate.enter_as_platform(p_organization_id, p_claims);
  return query
  with
  balance as materialized (select * from tollgate.credit_balances where organization_id = p_organization_id),
  movement as materialized (select * from tollgate.credit_ledger where organization_id = p_organization_id),
  one_hold as materialized (select * from tollgate.credit_holds where organization_id = p_organization_id),
  one_usage as materialized (select u.request_id, u.cost, u.price_id from tollgate.usage u where u.organization_id = p_organization_id),
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
  usages as (select u.request_id, count(*) as n, sum(u.cost) as cost, bool_or(u.price_id is not null) as priced from one_usage u group by u.request_id),
  open_tokens as (
    select w.kind, w.start, sum(h.tokens) as tokens
      from one_hold h cross join lateral (values ('day', h.day), ('month', h.month)) as w (kind, start)
      where h.status = 'open' group by w.kind, w.start),
  windows as (
    select u.window_kind as kind, u.window_start as start, u.held from tollgate.budget_usage u
      where u.organization_id = p_organization_id and u.scope = 'organization'),
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
    select format('%s from %s: %s tokens held, open holds come to %s', coalesce(w.kind, t.kind), coalesce(w.start, t.start), coalesce(w.held, 0), coalesce(t.tokens, 0))
      from windows w full join open_tokens t on t.kind = w.kind and t.start = w.start
      where coalesce(w.held, 0) <> coalesce(t.tokens, 0)
    union all
    select format('hold %s is %s and has %s usage rows', h.request_id, h.status, coalesce(u.n, 0))
      from one_hold h left join usages u on u.request_id = h.request_id
      where coalesce(u.n, 0) <> 1 and h.status in ('settled', 'released')
    union all
    select format('usage %s costs %s, ledger took %s and is owed %s', u.request_id, u.cost, coalesce(p.charged, 0), coalesce(p.debt, 0))
      from usages u left join per_request p on p.request_id = u.request_id
      where u.cost <> coalesce(p.charged, 0) + coalesce(p.debt, 0)
        -- An expiry may have charged a heartbeat beyond the final cost: it is not paid back.
        and not exists (select from one_hold h where h.request_id = u.request_id and h.used > u.cost)
  )
  select coalesce(b.posted, 0), coalesce(b.held, 0), coalesce(b.debt, 0), s.charged::bigint,
         (select count(*) from one_hold h where h.status = 'open'),
         coalesce((select array_agg(f.finding) from (select finding from findings limit 100) f), '{}')
    from sums s left join balance b on true;
end $$;
