-- The tables as they were when all earlier migrations were folded into this step. What they are today, and why, is in
-- schema/tables. Functions and rights are declared in schema, too, and are part of no step. Like every step, this one can run
-- again where it has run before.

create table if not exists tollgate.organizations (
  organization_id uuid not null primary key,
  name text not null check (name <> ''),
  suspended boolean not null default false,
  time_zone text not null default 'UTC' check ((timestamptz 'epoch' at time zone time_zone) is not null),
  created_at timestamptz not null default clock_timestamp(),
  suspended_reason text,
  placement text not null default 'row' check (placement in ('row', 'schema', 'database', 'elsewhere')),
  place text check ((placement in ('schema', 'database')) = (place is not null)),
  moving_to text check (moving_to ~ '^(row|schema|database:.+)$'),
  held_up boolean not null default false check (not held_up or moving_to is not null),
  moved_from text check (moved_from is null or (moved_from ~ '^(row|schema|database:.+)$' and moving_to is null))
);
alter table tollgate.organizations enable row level security, force row level security;
create index if not exists organizations_placed on tollgate.organizations (organization_id) where placement <> 'row';

create table if not exists tollgate.memberships (
  organization_id uuid not null references tollgate.organizations,
  user_id text not null check (user_id <> ''),
  role text not null check (role in ('owner', 'admin', 'member', 'viewer')),
  created_at timestamptz not null default clock_timestamp(),
  primary key (organization_id, user_id)
);
alter table tollgate.memberships enable row level security, force row level security;

create table if not exists tollgate.policies (
  organization_id uuid not null primary key references tollgate.organizations,
  policy jsonb not null default '{}' check (
    jsonb_typeof(policy) = 'object'
    and jsonb_typeof(coalesce(policy -> 'suspended', 'false')) = 'boolean'
    and coalesce((policy #>> '{budgets,daily_tokens}')::numeric, 0) >= 0
    and coalesce((policy #>> '{budgets,monthly_tokens}')::numeric, 0) >= 0
  ),
  updated_at timestamptz not null default clock_timestamp(),
  updated_by text
);
alter table tollgate.policies enable row level security, force row level security;

create table if not exists tollgate.settings (
  organization_id uuid not null references tollgate.organizations,
  name text not null check (name <> ''),
  value jsonb not null,
  updated_at timestamptz not null default clock_timestamp(),
  updated_by text,
  primary key (organization_id, name)
);
alter table tollgate.settings enable row level security, force row level security;

create table if not exists tollgate.break_glass_grants (
  organization_id uuid not null references tollgate.organizations,
  grant_id uuid not null,
  granted_to text not null check (granted_to <> ''),
  granted_by text not null check (granted_by <> ''),
  reason text not null check (btrim(reason) <> ''),
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  revoked_at timestamptz,
  primary key (organization_id, grant_id),
  check (expires_at > created_at and expires_at <= created_at + interval '24 hours')
);
alter table tollgate.break_glass_grants enable row level security, force row level security;

create table if not exists tollgate.teams (
  organization_id uuid not null references tollgate.organizations,
  team_id uuid not null,
  name text not null check (name <> ''),
  created_at timestamptz not null default clock_timestamp(),
  primary key (organization_id, team_id),
  unique (organization_id, name)
);
alter table tollgate.teams enable row level security, force row level security;

create table if not exists tollgate.team_memberships (
  organization_id uuid not null,
  team_id uuid not null,
  user_id text not null check (user_id <> ''),
  role text not null default 'member' check (role in ('admin', 'member')),
  created_at timestamptz not null default clock_timestamp(),
  primary key (organization_id, team_id, user_id),
  foreign key (organization_id, team_id) references tollgate.teams on delete cascade
);
alter table tollgate.team_memberships enable row level security, force row level security;
create index if not exists team_memberships_user on tollgate.team_memberships (organization_id, user_id);

create table if not exists tollgate.invitations (
  organization_id uuid not null references tollgate.organizations,
  invitation_id uuid not null,
  email text not null check (email <> ''),
  role text not null check (role in ('owner', 'admin', 'member', 'viewer')),
  digest bytea not null check (octet_length(digest) = 32),
  invited_by text not null,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  accepted_at timestamptz,
  accepted_by text,
  revoked_at timestamptz,
  primary key (organization_id, invitation_id),
  unique (organization_id, digest),
  check (expires_at > created_at),
  check ((accepted_at is null) = (accepted_by is null)),
  check (accepted_at is null or revoked_at is null)
);
alter table tollgate.invitations enable row level security, force row level security;

create table if not exists tollgate.api_keys (
  organization_id uuid not null references tollgate.organizations,
  key_id uuid not null,
  digest bytea not null check (octet_length(digest) = 32),
  name text not null check (name <> ''),
  user_id text not null check (user_id <> ''),
  team_id uuid,
  role text not null default 'member' check (role in ('owner', 'admin', 'member', 'viewer')),
  created_at timestamptz not null default clock_timestamp(),
  created_by text,
  expires_at timestamptz,
  revoked_at timestamptz,
  primary key (organization_id, key_id),
  unique (organization_id, digest),
  foreign key (organization_id, team_id) references tollgate.teams
);
alter table tollgate.api_keys enable row level security, force row level security;
create index if not exists api_keys_user on tollgate.api_keys (organization_id, user_id);
create index if not exists api_keys_team on tollgate.api_keys (organization_id, team_id);

create table if not exists tollgate.seal_keys (
  key_id text not null primary key check (key_id ~ '^[0-9a-f]{8}$'),
  inner_pad bytea not null check (octet_length(inner_pad) = 64),
  outer_pad bytea not null check (octet_length(outer_pad) = 64),
  created_at timestamptz not null default clock_timestamp()
);
alter table tollgate.seal_keys enable row level security, force row level security;

create table if not exists tollgate.prices (
  price_id uuid not null primary key,
  model text not null check (model <> ''),
  provider text not null,
  mode text not null,
  per_request bigint not null check (per_request >= 0),
  input_tokens_max bigint check (input_tokens_max >= 0),
  output_tokens_max bigint check (output_tokens_max >= 0),
  effective_from timestamptz not null default clock_timestamp(),
  source jsonb not null,
  created_at timestamptz not null default now(),
  unique (price_id, effective_from)
);
alter table tollgate.prices enable row level security, force row level security;
create index if not exists prices_model on tollgate.prices (model, effective_from);

create table if not exists tollgate.price_tiers (
  price_id uuid not null,
  from_input_tokens bigint not null check (from_input_tokens >= 0),
  input bigint not null check (input >= 0),
  cached_read bigint not null check (cached_read >= 0),
  cache_write_5m bigint not null check (cache_write_5m >= 0),
  cache_write_1h bigint not null check (cache_write_1h >= 0),
  output bigint not null check (output >= 0),
  reasoning bigint not null check (reasoning >= 0),
  effective_from timestamptz not null,
  primary key (price_id, from_input_tokens),
  foreign key (price_id, effective_from) references tollgate.prices (price_id, effective_from)
);
alter table tollgate.price_tiers enable row level security, force row level security;

create table if not exists tollgate.price_overrides (
  organization_id uuid not null references tollgate.organizations,
  price_id uuid not null,
  model text not null check (model <> ''),
  per_request bigint not null check (per_request >= 0),
  effective_from timestamptz not null default clock_timestamp(),
  created_at timestamptz not null default clock_timestamp(),
  created_by text,
  withdrawn boolean not null default false,
  primary key (organization_id, price_id),
  unique (organization_id, model, effective_from)
);
alter table tollgate.price_overrides enable row level security, force row level security;

create table if not exists tollgate.price_override_tiers (
  organization_id uuid not null,
  price_id uuid not null,
  from_input_tokens bigint not null check (from_input_tokens >= 0),
  input bigint not null check (input >= 0),
  cached_read bigint not null check (cached_read >= 0),
  cache_write_5m bigint not null check (cache_write_5m >= 0),
  cache_write_1h bigint not null check (cache_write_1h >= 0),
  output bigint not null check (output >= 0),
  reasoning bigint not null check (reasoning >= 0),
  primary key (organization_id, price_id, from_input_tokens),
  foreign key (organization_id, price_id) references tollgate.price_overrides
);
alter table tollgate.price_override_tiers enable row level security, force row level security;

create table if not exists tollgate.price_markups (
  organization_id uuid not null references tollgate.organizations,
  effective_from timestamptz not null default clock_timestamp(),
  markup_bps integer not null check (markup_bps between 0 and 1000000),
  created_at timestamptz not null default clock_timestamp(),
  created_by text,
  primary key (organization_id, effective_from)
);
alter table tollgate.price_markups enable row level security, force row level security;

create table if not exists tollgate.credit_balances (
  organization_id uuid not null primary key references tollgate.organizations,
  posted bigint not null default 0,
  held bigint not null default 0 check (held >= 0),
  debt bigint not null default 0 check (debt >= 0),
  seq bigint not null default 0 check (seq >= 0),
  check (posted >= held)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
alter table tollgate.credit_balances enable row level security, force row level security;

create table if not exists tollgate.credit_holds (
  organization_id uuid not null,
  request_id uuid not null,
  amount bigint not null check (amount >= 0),
  tokens bigint not null check (tokens >= 0),
  day date not null,
  month date not null,
  status text not null default 'open' check (status in ('open', 'settled', 'released', 'expired')),
  used bigint not null default 0 check (used >= 0),
  charged bigint not null default 0 check (charged >= 0),
  debt bigint not null default 0 check (debt >= 0),
  refund bigint not null default 0 check (refund between 0 and amount),
  price_id uuid,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  user_id text not null default '',
  team_id uuid,
  key_id uuid,
  held_in integer not null default 0 check (held_in between 0 and 255),
  tokens_seen bigint not null default 0 check (tokens_seen >= 0),
  tokens_used bigint not null default 0 check (tokens_used >= 0),
  primary key (organization_id, request_id),
  check (status <> 'open' or (charged = 0 and debt = 0 and refund = 0))
) with (fillfactor = 80);
alter table tollgate.credit_holds enable row level security, force row level security;
create index if not exists credit_holds_open on tollgate.credit_holds (organization_id, expires_at) where status = 'open';

create table if not exists tollgate.credit_ledger (
  organization_id uuid not null,
  seq bigint not null check (seq > 0),
  kind text not null,
  request_id uuid,
  reference text,
  d_posted bigint not null,
  d_held bigint not null,
  d_debt bigint not null,
  posted_after bigint not null,
  held_after bigint not null,
  debt_after bigint not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (organization_id, seq),
  check (posted_after >= held_after and held_after >= 0 and debt_after >= 0),
  constraint credit_ledger_kind check (case kind
    when 'hold' then d_posted = 0 and d_held > 0 and d_debt = 0
    when 'settle' then d_posted <= 0 and d_held <= 0 and d_debt >= 0
    when 'late_settle' then d_posted <= 0 and d_held = 0 and d_debt >= 0
    when 'release' then d_posted = 0 and d_held < 0 and d_debt = 0
    when 'expire' then d_posted <= 0 and d_held <= 0 and d_debt >= 0
    when 'grant' then d_posted >= 0 and d_held = 0 and d_debt <= 0
    else false end)
);
alter table tollgate.credit_ledger enable row level security, force row level security;
create unique index if not exists credit_ledger_request on tollgate.credit_ledger (organization_id, request_id, kind) where request_id is not null;
create unique index if not exists credit_ledger_reference on tollgate.credit_ledger (organization_id, reference) where reference is not null;

create table if not exists tollgate.budgets (
  organization_id uuid not null references tollgate.organizations,
  scope text not null check (scope in ('organization', 'team', 'user', 'key')),
  scope_id text not null check ((scope = 'organization') = (scope_id = '')),
  window_kind text not null check (window_kind in ('day', 'month')),
  tokens_max bigint check (tokens_max >= 0),
  credits_max bigint check (credits_max >= 0),
  updated_at timestamptz not null default clock_timestamp(),
  updated_by text,
  primary key (organization_id, scope, scope_id, window_kind),
  check (num_nonnulls(tokens_max, credits_max) > 0)
);
alter table tollgate.budgets enable row level security, force row level security;

create table if not exists tollgate.budget_usage (
  organization_id uuid not null,
  scope text not null check (scope in ('organization', 'team', 'user', 'key')),
  scope_id text not null,
  window_kind text not null check (window_kind in ('day', 'month')),
  window_start date not null,
  used bigint not null default 0 check (used >= 0),
  held bigint not null default 0 check (held >= 0),
  credits_used bigint not null default 0 check (credits_used >= 0),
  credits_held bigint not null default 0 check (credits_held >= 0),
  primary key (organization_id, scope, scope_id, window_kind, window_start)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
alter table tollgate.budget_usage enable row level security, force row level security;

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
alter table tollgate.budget_events enable row level security, force row level security;

create table if not exists tollgate.model_policies (
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

create table if not exists tollgate.rate_limits (
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

create table if not exists tollgate.kill_switches (
  organization_id uuid not null references tollgate.organizations,
  scope text not null check (scope in ('organization', 'team', 'user', 'key')),
  scope_id text not null check ((scope = 'organization') = (scope_id = '')),
  reason text,
  switched_by text,
  switched_at timestamptz not null default clock_timestamp(),
  primary key (organization_id, scope, scope_id)
);
alter table tollgate.kill_switches enable row level security, force row level security;

create table if not exists tollgate.provider_credentials (
  organization_id uuid not null references tollgate.organizations,
  credential_id uuid not null,
  name text not null check (name <> ''),
  provider text not null check (provider <> ''),
  secret_reference text not null check (length(secret_reference) <= 512 and secret_reference ~ '^[a-z][a-z0-9-]*:[A-Za-z0-9_./:#@-]+$'),
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  updated_by text,
  primary key (organization_id, credential_id),
  unique (organization_id, name)
);
alter table tollgate.provider_credentials enable row level security, force row level security;

create table if not exists tollgate.model_routes (
  organization_id uuid not null references tollgate.organizations,
  model text not null check (model <> ''),
  position integer not null check (position >= 0),
  provider text not null check (provider <> ''),
  upstream_model text not null check (upstream_model <> ''),
  base_url text check (base_url ~ '^https?://'),
  credential_id uuid,
  weight integer not null default 1 check (weight >= 0),
  enabled boolean not null default true,
  updated_at timestamptz not null default clock_timestamp(),
  updated_by text,
  primary key (organization_id, model, position),
  foreign key (organization_id, credential_id) references tollgate.provider_credentials
);
alter table tollgate.model_routes enable row level security, force row level security;
create index if not exists model_routes_credential on tollgate.model_routes (organization_id, credential_id);

create table if not exists tollgate.guardrails (
  organization_id uuid not null references tollgate.organizations,
  guardrail_id uuid not null,
  name text not null check (name <> ''),
  stage text not null check (stage in ('request', 'response')),
  position integer not null default 0 check (position >= 0),
  kind text not null check (kind <> ''),
  mode text not null default 'observe' check (mode in ('off', 'observe', 'redact', 'refuse')),
  configuration jsonb not null default '{}' check (jsonb_typeof(configuration) = 'object'),
  updated_at timestamptz not null default clock_timestamp(),
  updated_by text,
  primary key (organization_id, guardrail_id),
  unique (organization_id, name)
);
alter table tollgate.guardrails enable row level security, force row level security;

create table if not exists tollgate.prompt_templates (
  organization_id uuid not null references tollgate.organizations,
  template_id uuid not null,
  name text not null check (name <> ''),
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  updated_by text,
  primary key (organization_id, template_id),
  unique (organization_id, name)
);
alter table tollgate.prompt_templates enable row level security, force row level security;

create table if not exists tollgate.prompt_versions (
  organization_id uuid not null,
  template_id uuid not null,
  version integer not null check (version > 0),
  messages jsonb not null check (jsonb_typeof(messages) = 'array'),
  parameters jsonb not null default '{}' check (jsonb_typeof(parameters) = 'object'),
  created_at timestamptz not null default clock_timestamp(),
  created_by text,
  primary key (organization_id, template_id, version),
  foreign key (organization_id, template_id) references tollgate.prompt_templates
);
alter table tollgate.prompt_versions enable row level security, force row level security;

create table if not exists tollgate.prompt_versions_live (
  organization_id uuid not null,
  template_id uuid not null,
  version integer not null,
  updated_at timestamptz not null default clock_timestamp(),
  updated_by text,
  primary key (organization_id, template_id),
  foreign key (organization_id, template_id, version) references tollgate.prompt_versions
);
alter table tollgate.prompt_versions_live enable row level security, force row level security;
create index if not exists prompt_versions_live_version on tollgate.prompt_versions_live (organization_id, template_id, version);

create table if not exists tollgate.usage (
  organization_id uuid not null,
  arrived_at timestamptz not null,
  request_id uuid not null,
  recorded_at timestamptz not null default clock_timestamp(),
  user_id text not null,
  team_id uuid,
  client_request_id text,
  endpoint text not null,
  model text not null,
  answered_by text,
  provider text,
  stream boolean not null,
  ending text not null check (ending in ('complete', 'failed', 'abandoned', 'refused', 'cut')),
  status integer not null check (status between 100 and 999),
  input_tokens bigint not null check (input_tokens >= 0),
  cached_read_tokens bigint not null check (cached_read_tokens >= 0),
  cache_write_5m_tokens bigint not null check (cache_write_5m_tokens >= 0),
  cache_write_1h_tokens bigint not null check (cache_write_1h_tokens >= 0),
  output_tokens bigint not null check (output_tokens >= 0),
  reasoning_tokens bigint not null check (reasoning_tokens >= 0),
  estimated boolean not null,
  clamped boolean not null,
  cost bigint not null check (cost >= 0),
  price_id uuid,
  latency_ms bigint not null check (latency_ms >= 0),
  first_byte_ms bigint check (first_byte_ms >= 0),
  key_id uuid,
  markup_bps integer not null default 0 check (markup_bps between 0 and 1000000),
  primary key (organization_id, arrived_at, request_id)
) partition by range (arrived_at);
alter table tollgate.usage enable row level security, force row level security;

create table if not exists tollgate.audit_events (
  organization_id uuid not null,
  arrived_at timestamptz not null,
  request_id uuid not null,
  recorded_at timestamptz not null default clock_timestamp(),
  user_id text not null,
  team_id uuid,
  client_request_id text,
  endpoint text not null,
  model text not null,
  answered_by text,
  provider text,
  stream boolean not null,
  ending text not null,
  status integer not null,
  input_tokens bigint not null,
  cached_read_tokens bigint not null,
  cache_write_5m_tokens bigint not null,
  cache_write_1h_tokens bigint not null,
  output_tokens bigint not null,
  reasoning_tokens bigint not null,
  estimated boolean not null,
  clamped boolean not null,
  cost bigint not null,
  price_id uuid,
  latency_ms bigint not null,
  first_byte_ms bigint,
  request text,
  response text,
  truncated boolean not null,
  key_id uuid,
  markup_bps integer not null default 0,
  primary key (organization_id, arrived_at, request_id)
) partition by range (arrived_at);
alter table tollgate.audit_events enable row level security, force row level security;

create table if not exists tollgate.usage_daily (
  organization_id uuid not null,
  day date not null,
  scope text not null check (scope in ('organization', 'team', 'user', 'key')),
  scope_id text not null check ((scope = 'organization') = (scope_id = '')),
  model text not null,
  provider text not null,
  calls bigint not null check (calls >= 0),
  calls_unfinished bigint not null check (calls_unfinished between 0 and calls),
  input_tokens bigint not null check (input_tokens >= 0),
  cached_read_tokens bigint not null check (cached_read_tokens >= 0),
  cache_write_5m_tokens bigint not null check (cache_write_5m_tokens >= 0),
  cache_write_1h_tokens bigint not null check (cache_write_1h_tokens >= 0),
  output_tokens bigint not null check (output_tokens >= 0),
  reasoning_tokens bigint not null check (reasoning_tokens >= 0),
  cost bigint not null check (cost >= 0),
  updated_at timestamptz not null default clock_timestamp(),
  primary key (organization_id, day, scope, scope_id, model, provider)
) partition by range (day);
alter table tollgate.usage_daily enable row level security, force row level security;

create table if not exists tollgate.audit_chain (
  organization_id uuid not null references tollgate.organizations,
  seq bigint not null check (seq > 0),
  arrived_at timestamptz not null,
  request_id uuid not null,
  leaf_hash bytea not null check (octet_length(leaf_hash) = 32),
  chain_hash bytea not null check (octet_length(chain_hash) = 32),
  chained_at timestamptz not null default clock_timestamp(),
  primary key (organization_id, seq),
  unique (organization_id, arrived_at, request_id)
);
alter table tollgate.audit_chain enable row level security, force row level security;

create table if not exists tollgate.audit_checkpoints (
  organization_id uuid not null references tollgate.organizations,
  size bigint not null check (size >= 0),
  root_hash bytea not null check (octet_length(root_hash) = 32),
  note text not null check (note <> ''),
  signed_at timestamptz not null default clock_timestamp(),
  primary key (organization_id, size)
);
alter table tollgate.audit_checkpoints enable row level security, force row level security;
