-- What an organization's teams, people, keys and models may use, and the switches that stop them.
--
-- `scope` and `scope_id` are those of `budgets`. `model_pattern` is a model's name, in which a trailing `*` is a
-- wildcard; `*` alone is every model. The columns are part of the primary keys, so they are never null.

create table tollgate.model_policies (
  organization_id uuid not null references tollgate.organizations,
  scope text not null check (scope in ('organization', 'team', 'user', 'key')),
  scope_id text not null check ((scope = 'organization') = (scope_id = '')),
  model_pattern text not null check (model_pattern <> ''),
  allowed boolean not null,
  output_tokens_max bigint check (output_tokens_max > 0),
  updated_at timestamptz not null default clock_timestamp(),
  updated_by text,
  primary key (organization_id, scope, scope_id, model_pattern)
);
alter table tollgate.model_policies enable row level security, force row level security;

create table tollgate.rate_limits (
  organization_id uuid not null references tollgate.organizations,
  scope text not null check (scope in ('organization', 'team', 'user', 'key')),
  scope_id text not null check ((scope = 'organization') = (scope_id = '')),
  model_pattern text not null default '*' check (model_pattern <> ''),
  requests_per_minute bigint check (requests_per_minute > 0),
  tokens_per_minute bigint check (tokens_per_minute > 0),
  calls_in_flight bigint check (calls_in_flight > 0),
  updated_at timestamptz not null default clock_timestamp(),
  updated_by text,
  primary key (organization_id, scope, scope_id, model_pattern),
  check (num_nonnulls(requests_per_minute, tokens_per_minute, calls_in_flight) > 0)
);
alter table tollgate.rate_limits enable row level security, force row level security;

-- A row is a switch that is on. It stops every new call of its scope at once.
create table tollgate.kill_switches (
  organization_id uuid not null references tollgate.organizations,
  scope text not null check (scope in ('organization', 'team', 'user', 'key')),
  scope_id text not null check ((scope = 'organization') = (scope_id = '')),
  reason text,
  switched_by text,
  switched_at timestamptz not null default clock_timestamp(),
  primary key (organization_id, scope, scope_id)
);
alter table tollgate.kill_switches enable row level security, force row level security;
