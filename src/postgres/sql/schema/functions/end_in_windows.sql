-- Ends a hold in its budget windows: takes away what the hold held and adds what the call used. A window without a row
-- has met no budget yet, and needs no row. A threshold that is passed here is written to `budget_events` once.
create or replace function tollgate.end_in_windows(p_hold tollgate.credit_holds, p_was_open boolean, p_tokens bigint, p_credits bigint) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  with moved as (
    update tollgate.budget_usage u
      set used = u.used + p_tokens, credits_used = u.credits_used + p_credits,
          held = u.held - case when p_was_open and p_hold.held_in & w.flag <> 0 then p_hold.tokens else 0 end,
          credits_held = u.credits_held - case when p_was_open and p_hold.held_in & w.flag <> 0 then p_hold.amount else 0 end
      from (values ('organization', '', 'day', p_hold.day, 1), ('organization', '', 'month', p_hold.month, 2),
                   ('team', p_hold.team_id::text, 'day', p_hold.day, 4), ('team', p_hold.team_id::text, 'month', p_hold.month, 8),
                   ('user', p_hold.user_id, 'day', p_hold.day, 16), ('user', p_hold.user_id, 'month', p_hold.month, 32),
                   ('key', p_hold.key_id::text, 'day', p_hold.day, 64), ('key', p_hold.key_id::text, 'month', p_hold.month, 128)
           ) as w (scope, scope_id, kind, start, flag)
      where u.organization_id = p_hold.organization_id and u.scope = w.scope and u.scope_id = w.scope_id
        and u.window_kind = w.kind and u.window_start = w.start
      returning u.scope, u.scope_id, u.window_kind, u.window_start, u.used, u.credits_used),
  passed as (
    select m.*, f.unit, f.now, f.cap, f.percent
      from moved m
      join tollgate.budgets_of(p_hold.organization_id, p_hold.user_id, p_hold.team_id, p_hold.key_id) b
        on b.scope = m.scope and b.scope_id = m.scope_id and b.window_kind = m.window_kind
      cross join lateral (
        select x.unit, x.now, x.cap, t.percent
          from (values ('tokens', m.used::numeric, m.used::numeric - p_tokens, b.tokens_max),
                       ('credits', m.credits_used::numeric, m.credits_used::numeric - p_credits, b.credits_max)) as x (unit, now, before, cap)
          cross join (values (50), (80), (100)) as t (percent)
          where x.now * 100 >= x.cap * t.percent and x.before * 100 < x.cap * t.percent) f)
  insert into tollgate.budget_events (organization_id, scope, scope_id, window_kind, window_start, unit, percent, refused, used, cap)
    select p_hold.organization_id, p.scope, p.scope_id, p.window_kind, p.window_start, p.unit, p.percent, false, p.now, least(p.cap, 9223372036854775807)
      from passed p
    on conflict (organization_id, scope, scope_id, window_kind, window_start, unit, percent, refused) do nothing;
end $$;
