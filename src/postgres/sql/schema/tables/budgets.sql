-- Budgets, what was used of them, and the thresholds that were passed.
--
-- `scope` and `scope_id` name a budget's subject: the organization (''), or the text of a team_id, a user_id or a
-- key_id, unchanged. `*` as scope_id is a wildcard: each team, user or key that has no budget of its own.

-- The cap of a window of `budget_usage`, under the same key without the window's start.
create table tollgate.budgets (
  organization_id uuid not null references tollgate.organizations,
  scope text not null check (scope in ('organization', 'team', 'user', 'key')),
  scope_id text not null check ((scope = 'organization') = (scope_id = '')),
  window_kind text not null check (window_kind in ('day', 'month')),
  tokens_max bigint check (tokens_max >= 0),
  -- Nano-dollars.
  credits_max bigint check (credits_max >= 0),
  updated_at timestamptz not null default clock_timestamp(),
  updated_by text,
  primary key (organization_id, scope, scope_id, window_kind),
  check (num_nonnulls(tokens_max, credits_max) > 0)
);
alter table tollgate.budgets enable row level security, force row level security;

-- A calendar window: `used` stays used, `held` belongs to open holds. A new window is a new row; none is reset.
create table tollgate.budget_usage (
  organization_id uuid not null,
  scope text not null check (scope in ('organization', 'team', 'user', 'key')),
  scope_id text not null,
  window_kind text not null check (window_kind in ('day', 'month')),
  window_start date not null,
  -- Tokens.
  used bigint not null default 0 check (used >= 0),
  held bigint not null default 0 check (held >= 0),
  -- Nano-dollars.
  credits_used bigint not null default 0 check (credits_used >= 0),
  credits_held bigint not null default 0 check (credits_held >= 0),
  primary key (organization_id, scope, scope_id, window_kind, window_start)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
alter table tollgate.budget_usage enable row level security, force row level security;

-- One row when a window's use first reaches so many percent of its cap, and one when the budget first refuses a call
-- (`percent` 100 and `refused`). The statement that moved the window writes the row.
create table tollgate.budget_events (
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
alter table tollgate.budget_events enable row level security, force row level security;
