-- The words that the cases beside this file are told in. Run as the superuser in a test database, once.
--
-- A case has an organization of its own, in a time zone where it is around noon: no window ends while it runs.
-- Requests, teams and keys have names; the functions under test see ids.
create schema told;
create table told.ids (organization_id uuid, name text, id uuid, primary key (organization_id, name));

create function told.org() returns uuid language sql stable return current_setting('told.org')::uuid;

-- Not on the last day of a month either: its day and its month would end at once.
create function told.noon() returns text language sql stable as $$
  select 'Etc/GMT' || to_char(case when extract(day from local + 1) <> 1 then -ahead when hour >= 11 then -ahead - 13 else -ahead + 14 end, 'FMSG99')
    from (select hour, 12 - hour as ahead, (now() at time zone 'UTC' + (12 - hour) * interval '1 hour')::date as local
            from (select extract(hour from now() at time zone 'UTC')::integer as hour) h) z
$$;

create function told.platform(p_organization_id uuid) returns text language sql stable return
  jsonb_build_object('organization_id', p_organization_id, 'role_in_organization', 'platform')::text;

-- A new organization with these credits, that all words from now on are about.
create function told.organization(p_credits bigint, p_zone text default null) returns void language plpgsql as $$
begin
  perform set_config('told.org', gen_random_uuid()::text, false);
  perform tollgate.create_organization(told.org(), told.platform(told.org()), 'Told', coalesce(p_zone, told.noon()));
  if p_credits > 0 then
    perform tollgate.grant_credits(told.org(), told.platform(told.org()), p_credits, null);
  end if;
end $$;

-- Ids have the millisecond in front, and come in the order in which they were first named.
create function told.id(p_name text) returns uuid language plpgsql as $$
declare
  v_id uuid;
  v_ms bigint;
begin
  if p_name is null then
    return null;
  end if;
  select i.id into v_id from told.ids i where i.organization_id = told.org() and i.name = p_name;
  if not found then
    v_ms := (extract(epoch from clock_timestamp()) * 1000)::bigint + (select count(*) from told.ids i where i.organization_id = told.org());
    v_id := (lpad(to_hex(v_ms), 12, '0') || '7' || substr(md5(p_name), 1, 3) || '8' || substr(md5(p_name || told.org()), 1, 15))::uuid;
    insert into told.ids values (told.org(), p_name, v_id);
  end if;
  return v_id;
end $$;

-- A second name for a request: one that arrived so long ago.
create function told.ago(p_name text, p_ago interval) returns void language sql as $$
  insert into told.ids values (told.org(), p_name,
    (lpad(to_hex((extract(epoch from clock_timestamp() - p_ago) * 1000)::bigint), 12, '0') || '7' || substr(md5(p_name), 1, 3) || '8' || substr(md5(p_name || told.org()), 1, 15))::uuid)
$$;

create function told.ids_of(p_names text[]) returns uuid[] language sql as $$
  select coalesce(array_agg(told.id(n.name) order by n.i), '{}') from unnest(p_names) with ordinality as n (name, i)
$$;

create function told.name(p_id text) returns text language sql stable return
  coalesce((select i.name from told.ids i where i.organization_id = told.org() and i.id::text = p_id), p_id);

create function told.many(p_value anyelement, p_names text[]) returns anyarray language sql immutable as $$
  select array_fill(p_value, array[cardinality(p_names)])
$$;

-- Holds, in one statement; each is of one user, or of several.
create function told.holds_of(p_names text[], p_amounts bigint[], p_tokens bigint[], p_users text[], p_teams text[], p_keys text[], p_ttls bigint[])
  returns setof text language sql as $$
  select concat_ws(' ', h.result, h.available, case when h.may_wait then 'may wait' end, h.scope, h.window_kind, h.unit,
           case when abs(h.retry_after_ms - 1000 * extract(epoch from (
                  (date_trunc(h.window_kind, clock_timestamp() at time zone o.time_zone) + ('1 ' || h.window_kind)::interval) at time zone o.time_zone) - clock_timestamp())) < 60000
             then 'until its end' else 'in ' || h.retry_after_ms end)
    from tollgate.organizations o,
         tollgate.hold(told.org(), jsonb_build_object('organization_id', told.org())::text, told.ids_of(p_names), p_amounts, p_tokens,
                       p_ttls, p_users, told.ids_of(p_teams), told.ids_of(p_keys)) h
    where o.organization_id = told.org()
$$;

create function told.holds_by(p_names text[], p_amounts bigint[], p_tokens bigint[], p_user text, p_team text, p_key text)
  returns setof text language sql as $$
  select told.holds_of(p_names, p_amounts, p_tokens, told.many(p_user, p_names), told.many(p_team, p_names), told.many(p_key, p_names),
                       told.many(300000::bigint, p_names))
$$;

create function told.hold(p_names text, p_amounts bigint, p_tokens bigint, p_user text default 'ann', p_team text default null, p_key text default null)
  returns setof text language sql as $$
  select told.holds_by(array[p_names], array[p_amounts], array[p_tokens], p_user, p_team, p_key)
$$;

create function told.renew(p_names text[], p_used bigint[], p_tokens bigint[], p_ttl_ms bigint default 1200000) returns setof text language sql as $$
  select told.name(r::text) from tollgate.renew(told.org(), jsonb_build_object('organization_id', told.org())::text, told.ids_of(p_names), p_used, p_tokens, p_ttl_ms) r order by r
$$;

create function told.overdue(p_name text, p_for interval default '1 minute') returns void language sql as $$
  update tollgate.credit_holds set expires_at = created_at - p_for where organization_id = told.org() and request_id = told.id(p_name)
$$;

create function told.expire(p_limit integer default 100) returns integer language sql as $$
  select tollgate.expire(told.org(), jsonb_build_object('organization_id', told.org())::text, p_limit)
$$;

create function told.give_back(p_names text[]) returns integer language sql as $$
  select tollgate.give_back(told.org(), jsonb_build_object('organization_id', told.org())::text, told.ids_of(p_names))
$$;

create function told.grant_more(p_amount bigint, p_reference text default null) returns text language sql as $$
  select concat_ws(' ', g.posted, g.held, g.debt, case when g.replayed then 'again' end)
    from tollgate.grant_credits(told.org(), told.platform(told.org()), p_amount, p_reference) g
$$;

create function told.arrived_ms(p_id uuid) returns bigint language sql immutable return
  ('x' || replace(left(p_id::text, 13), '-', ''))::bit(48)::bigint;

-- The ends of calls, in one statement. An amount of null is a call without a hold.
create function told.finishes(p_names text[], p_amounts bigint[], p_tokens bigint[], p_releases boolean[] default null,
                              p_user text default 'ann', p_team text default null, p_key text default null)
  returns setof text language sql as $$
  select concat_ws(' ', f.charged, f.debt, case when f.replayed then 'again' end)
    from tollgate.finish(
      told.org(), jsonb_build_object('organization_id', told.org())::text, told.ids_of(p_names),
      array(select told.arrived_ms(i.id) from unnest(told.ids_of(p_names)) with ordinality as i (id, n) order by n),
      told.many(p_user, p_names), told.ids_of(told.many(p_team, p_names)), told.ids_of(told.many(p_key, p_names)),
      p_amounts, p_tokens, told.many(null::uuid, p_names), told.many(0, p_names), coalesce(p_releases, told.many(false, p_names)),
      told.many(null::text, p_names), told.many('/v1/chat/completions'::text, p_names), told.many('small'::text, p_names), told.many(null::text, p_names),
      told.many(null::text, p_names), told.many(false, p_names), told.many('complete'::text, p_names), told.many(200, p_names),
      told.many(0::bigint, p_names), told.many(0::bigint, p_names), told.many(0::bigint, p_names), told.many(0::bigint, p_names),
      told.many(0::bigint, p_names), told.many(0::bigint, p_names), told.many(false, p_names), told.many(false, p_names),
      told.many(1::bigint, p_names), told.many(null::bigint, p_names),
      told.many(false, p_names), told.many(null::text, p_names), told.many(null::text, p_names), told.many(false, p_names)) f
$$;

create function told.finish(p_name text, p_amount bigint, p_tokens bigint, p_user text default 'ann', p_team text default null, p_key text default null)
  returns setof text language sql as $$
  select told.finishes(array[p_name], array[p_amount], array[p_tokens], null, p_user, p_team, p_key)
$$;

create function told.release(p_name text) returns setof text language sql as $$
  select told.finishes(array[p_name], array[0], array[0], array[true])
$$;

-- Posted, held, debt and the number of movements.
create view told.balance as
  select b.posted, b.held, b.debt, b.seq from tollgate.credit_balances b where b.organization_id = told.org();

create view told.movements as
  select l.seq, l.kind, told.name(l.request_id::text), l.d_posted, l.d_held, l.d_debt, 'after' as word, l.posted_after, l.held_after, l.debt_after, l.reference
    from tollgate.credit_ledger l where l.organization_id = told.org() order by l.seq;

-- What a hold stands for, what it came to, whose it is, in which windows, and for how many minutes it stands.
create view told.holds as
  select told.name(h.request_id::text), h.status, h.amount, h.tokens, 'used' as word, h.used, h.tokens_seen,
         'ended' as other_word, h.charged, h.debt, h.refund, h.tokens_used, h.user_id, told.name(h.team_id::text) as team, told.name(h.key_id::text) as key, h.held_in,
         h.day - (h.created_at at time zone o.time_zone)::date as day, h.month - date_trunc('month', h.created_at at time zone o.time_zone)::date as month,
         round(extract(epoch from h.expires_at - h.created_at) / 60) as minutes
    from tollgate.credit_holds h join tollgate.organizations o using (organization_id) where h.organization_id = told.org() order by h.request_id;

create view told.windows as
  select u.scope, told.name(u.scope_id), u.window_kind, u.used, u.held, 'credits' as word, u.credits_used, u.credits_held,
         u.window_start - date_trunc(u.window_kind, clock_timestamp() at time zone o.time_zone)::date as start
    from tollgate.budget_usage u join tollgate.organizations o using (organization_id) where u.organization_id = told.org()
    order by u.scope, 2, u.window_kind, u.window_start;

create view told.events as
  select e.scope, told.name(e.scope_id), e.window_kind, e.unit, e.percent, e.refused, e.used, e.cap,
         e.window_start - date_trunc(e.window_kind, clock_timestamp() at time zone o.time_zone)::date as start
    from tollgate.budget_events e join tollgate.organizations o using (organization_id) where e.organization_id = told.org()
    order by e.scope, 2, e.window_kind, e.unit, e.percent, e.refused;

create function told.broken() returns setof text language sql as $$
  select unnest(r.broken) from tollgate.reconcile(told.org(), told.platform(told.org())) r
$$;

create function told.budget(p_scope text, p_scope_id text, p_window text, p_tokens bigint, p_credits bigint, p_since interval default '1 year') returns void language sql as $$
  insert into tollgate.budgets (organization_id, scope, scope_id, window_kind, tokens_max, credits_max, updated_at)
    values (told.org(), p_scope, case when p_scope in ('team', 'key') and p_scope_id <> '*' then told.id(p_scope_id)::text else p_scope_id end,
            p_window, p_tokens, p_credits, clock_timestamp() - p_since)
    on conflict (organization_id, scope, scope_id, window_kind) do update
      set tokens_max = excluded.tokens_max, credits_max = excluded.credits_max, updated_at = excluded.updated_at
$$;

create function told.policy(p_policy jsonb) returns void language sql as $$
  update tollgate.policies set policy = p_policy, updated_at = clock_timestamp() - interval '1 year' where organization_id = told.org()
$$;

-- What somebody meets before each call.
create function told.standing(p_user text default 'ann', p_team text default null, p_key text default null) returns setof text language sql as $$
  select concat_ws(' | ', policy, coalesce(suspended, 'goes on'), coalesce(role, 'none'),
                   replace(replace(rates, told.id('red')::text, 'red'), told.id('k')::text, 'k'))
    from tollgate.standing(told.org(), jsonb_strip_nulls(jsonb_build_object(
      'organization_id', told.org(), 'sub', p_user, 'team_id', told.id(p_team), 'key_id', told.id(p_key)))::text)
$$;

-- What the books come to.
create function told.books() returns setof text language sql as $$
  select concat_ws(' ', posted, held, debt, charged, holds_open, expired, unbilled_max, broken)
    from tollgate.reconcile(told.org(), told.platform(told.org()))
$$;

-- What is wrong with them, in names.
create function told.findings() returns setof text language plpgsql as $$
declare
  found text;
  i record;
  today timestamp := clock_timestamp() at time zone (select o.time_zone from tollgate.organizations o where o.organization_id = told.org());
begin
  for found in select told.broken() order by 1 loop
    for i in select * from told.ids where organization_id = told.org() loop
      found := replace(found, i.id::text, i.name);
    end loop;
    found := replace(found, ' day from ' || today::date, ' day from today');
    return next replace(found, ' month from ' || date_trunc('month', today)::date, ' month from its first');
  end loop;
end $$;

-- An organization with a call of every kind: one that goes on, and others that were settled, that expired and that came to nothing.
create function told.sample() returns void language plpgsql as $$
begin
  perform told.organization(1000);
  perform told.budget('organization', '', 'day', 100, 100);
  perform told.budget('team', 'red', 'month', 100, 100);
  perform told.hold('open', 30, 7, 'ann', 'red', 'k');
  perform told.hold('done', 30, 7, 'ann', 'red', 'k');
  perform told.finish('done', 20, 5, 'ann', 'red', 'k');
  perform told.hold('gone', 11, 3, 'ann', 'red', 'k');
  perform told.renew('{gone}', '{4}', '{2}');
  perform told.give_back('{gone}');
  perform told.hold('back', 9, 1, 'ann', 'red', 'k');
  perform told.release('back');
end $$;

-- Whether this transaction has locked the balance, and whether its commit waits for the disk.
create view told.locked as
  select xmax::text::bigint = txid_current() % 4294967296 as locked, current_setting('synchronous_commit') as durable
    from tollgate.credit_balances where organization_id = told.org();

-- What the mover has taken out of a table.
create table told.taken (organization_id uuid default told.org(), n bigserial, key text, line text);

create function told.take(p_table text, p_after text, p_until text, p_rows integer default 100, p_bytes bigint default 1000000) returns setof text language sql as $$
  delete from told.taken where organization_id = told.org();
  insert into told.taken (key, line) select key, line from tollgate.move_out(told.org(), p_table, p_after, p_until, p_rows, p_bytes);
  select replace(t.key, told.org()::text, 'organization') from told.taken t where t.organization_id = told.org() order by t.n
$$;

create function told.put(p_table text) returns bigint language sql as $$
  select tollgate.move_in(told.org(), p_table, array(select t.line from told.taken t where t.organization_id = told.org() order by t.n))
$$;

create function told.mark(p_table text, p_after text default null, p_until text default null, p_read boolean default true) returns text language sql as $$
  select rows || case when digest = '' then '' else ' ' || md5(digest) end
    from tollgate.move_marks(told.org(), array[p_table], array[p_after], array[p_until], array[p_read])
$$;
