-- Usage and audit records. They are append-only and apart from the operational tables.
--
-- `usage` and `audit_events` are partitioned by the month in which the call arrived. The call's UUIDv7 names that
-- moment, so that a repeated write finds the same partition. The function `extend_partitions` makes the partitions.

create table tollgate.usage (
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
  -- What the call costs by `price_id` and `markup_bps`; 0 and null if nothing was held for the call.
  cost bigint not null check (cost >= 0),
  price_id uuid,
  latency_ms bigint not null check (latency_ms >= 0),
  first_byte_ms bigint check (first_byte_ms >= 0),
  key_id uuid,
  markup_bps integer not null default 0 check (markup_bps between 0 and 1000000),
  primary key (organization_id, arrived_at, request_id)
) partition by range (arrived_at);
alter table tollgate.usage enable row level security, force row level security;

-- A record repeats the figures of `usage`, because the two tables are kept for different lengths of time.
create table tollgate.audit_events (
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
  -- Text and not JSON, so that bodies are kept exactly as they were sent.
  request text,
  response text,
  truncated boolean not null,
  key_id uuid,
  markup_bps integer not null default 0,
  primary key (organization_id, arrived_at, request_id)
) partition by range (arrived_at);
alter table tollgate.audit_events enable row level security, force row level security;

-- The usage of a day in the organization's time zone, once for each scope in which it counts, so that every reader
-- finds its own row by key. A model that was not called that day has no row.
create table tollgate.usage_daily (
  organization_id uuid not null,
  day date not null,
  scope text not null check (scope in ('organization', 'team', 'user', 'key')),
  scope_id text not null check ((scope = 'organization') = (scope_id = '')),
  model text not null,
  provider text not null,
  calls bigint not null check (calls >= 0),
  -- How many of the calls did not end complete.
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

-- The hash chain over audit records: one row for each record, about 120 bytes, kept forever, so that an old export
-- still verifies when its records are gone. Hence no foreign key to `audit_events`. Hence no partitions by month
-- either: a partitioned table could not keep `seq` unique.
create table tollgate.audit_chain (
  organization_id uuid not null references tollgate.organizations,
  seq bigint not null check (seq > 0),
  -- The record's key in `audit_events`.
  arrived_at timestamptz not null,
  request_id uuid not null,
  leaf_hash bytea not null check (octet_length(leaf_hash) = 32),
  chain_hash bytea not null check (octet_length(chain_hash) = 32),
  chained_at timestamptz not null default clock_timestamp(),
  primary key (organization_id, seq),
  -- A record is chained once.
  unique (organization_id, arrived_at, request_id)
);
alter table tollgate.audit_chain enable row level security, force row level security;

-- A signed head of the chain. The note contains size, root and signatures; size and root are also columns, so that the
-- head can be found by them.
create table tollgate.audit_checkpoints (
  organization_id uuid not null references tollgate.organizations,
  -- How many rows of the chain the head covers.
  size bigint not null check (size >= 0),
  root_hash bytea not null check (octet_length(root_hash) = 32),
  note text not null check (note <> ''),
  signed_at timestamptz not null default clock_timestamp(),
  -- Two heads of the same size would be two histories.
  primary key (organization_id, size)
);
alter table tollgate.audit_checkpoints enable row level security, force row level security;
