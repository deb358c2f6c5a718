-- What exact budgets, switches, heartbeats and agreed prices need beside what is there.

-- Whose hold it is and which budgets hold it: a bit for each window, day before month, in the order of
-- the scopes (organization 1 and 2, team 4 and 8, user 16 and 32, key 64 and 128). Only windows that had a
-- budget when the hold was made have its bit.
alter table tollgate.credit_holds
  add column if not exists user_id text not null default '',
  add column if not exists team_id uuid,
  add column if not exists key_id uuid,
  add column if not exists held_in integer not null default 0 check (held_in between 0 and 255),
  -- What a heartbeat has reported, beside `used`; and what it came to in the end.
  add column if not exists tokens_seen bigint not null default 0 check (tokens_seen >= 0),
  add column if not exists tokens_used bigint not null default 0 check (tokens_used >= 0);

-- The same windows in nano-dollars. `used` and `held` are tokens.
alter table tollgate.budget_usage
  add column if not exists credits_used bigint not null default 0 check (credits_used >= 0),
  add column if not exists credits_held bigint not null default 0 check (credits_held >= 0);

-- A settlement names its price row and the mark-up that was added to it.
alter table tollgate.usage
  add column if not exists key_id uuid,
  add column if not exists markup_bps integer not null default 0 check (markup_bps between 0 and 1000000);
alter table tollgate.audit_events
  add column if not exists key_id uuid,
  add column if not exists markup_bps integer not null default 0;

-- A row is a switch that is on. It stops every new call of that scope at once.
create table if not exists tollgate.kill_switches (
  organization_id uuid not null references tollgate.organizations,
  scope text not null check (scope in ('organization', 'team', 'user', 'key')),
  scope_id text not null check ((scope = 'organization') = (scope_id = '')),
  reason text,
  switched_by text,
  switched_at timestamptz not null default clock_timestamp(),
  primary key (organization_id, scope, scope_id)
);

-- A budget has come to so many percent of its cap for the first time in a window, or a call was refused
-- by it (100 with `refused`). Written by the statement that moved it there.
create table if not exists tollgate.budget_events (
  organization_id uuid not null references tollgate.organizations,
  scope text not null,
  scope_id text not null,
  window_kind text not null,
  window_start date not null,
  unit text not null check (unit in ('tokens', 'credits')),
  percent integer not null check (percent between 1 and 100),
  refused boolean not null,
  used bigint not null,
  cap bigint not null,
  happened_at timestamptz not null default clock_timestamp(),
  primary key (organization_id, scope, scope_id, window_kind, window_start, unit, percent, refused)
);

-- What is added to the list price, from a moment on. An agreed price of a model has no mark-up.
create table if not exists tollgate.price_markups (
  organization_id uuid not null references tollgate.organizations,
  effective_from timestamptz not null default clock_timestamp(),
  -- Hundredths of a percent.
  markup_bps integer not null check (markup_bps between 0 and 1000000),
  created_at timestamptz not null default clock_timestamp(),
  created_by text,
  primary key (organization_id, effective_from)
);

do $rights$
begin
  -- An organization stops itself, its teams, people and keys without anybody's help.
  perform tollgate.allow('kill_switches', 'owner', 'select insert delete');
  perform tollgate.allow('kill_switches', 'admin', 'select insert delete');
  perform tollgate.allow('kill_switches', 'member', 'select');
  perform tollgate.allow('kill_switches', 'viewer', 'select');
  perform tollgate.allow('kill_switches', 'platform', 'select insert delete');
  perform tollgate.allow('kill_switches', 'ledger', 'select');

  perform tollgate.allow('budget_events', 'owner', 'select');
  perform tollgate.allow('budget_events', 'admin', 'select');
  perform tollgate.allow('budget_events', 'viewer', 'select');
  perform tollgate.allow('budget_events', 'platform', 'select');
  perform tollgate.allow('budget_events', 'ledger', 'select insert');

  perform tollgate.allow('price_markups', 'owner', 'select');
  perform tollgate.allow('price_markups', 'platform', 'select insert');
  perform tollgate.allow('price_markups', 'ledger', 'select');

  -- The operator sets what was agreed on, and sees how far it is used.
  perform tollgate.allow('budgets', 'platform', 'select insert update delete');
  perform tollgate.allow('rate_limits', 'platform', 'select insert update delete');
  perform tollgate.allow('budget_usage', 'platform', 'select');
  -- The caller's standing is read by the ledger's function.
  perform tollgate.allow('rate_limits', 'ledger', 'select');
end
$rights$;
