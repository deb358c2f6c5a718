-- Usage and audit: append-only, apart from the operational tables, partitioned by the month in which
-- the call arrived (which its UUIDv7 names, so that repeating a write finds the same partition).
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
  -- What the call costs by this price; 0 and null where nothing was held for it.
  cost bigint not null check (cost >= 0),
  price_id uuid,
  latency_ms bigint not null check (latency_ms >= 0),
  first_byte_ms bigint check (first_byte_ms >= 0),
  primary key (organization_id, arrived_at, request_id)
) partition by range (arrived_at);

-- The record stands on its own: it repeats the figures, because usage and audit are kept for
-- different lengths of time.
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
  -- Text and not JSON: what was sent is kept as it was sent.
  request text,
  response text,
  truncated boolean not null,
  primary key (organization_id, arrived_at, request_id)
) partition by range (arrived_at);

-- Makes the partitions from last month to `p_months` ahead, where they are missing, and returns how
-- many were made. A call from any other time goes to the default partition. Each partition has
-- forced row security of its own and no grants: it is reached through its table or not at all.
create or replace function tollgate.extend_partitions(p_months integer default 24) returns integer
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  first date := (date_trunc('month', now() at time zone 'UTC') - interval '1 month')::date;
  parent text;
  child text;
  bounds text;
  made integer := 0;
begin
  foreach parent in array array['usage', 'audit_events'] loop
    for n in -1..p_months + 1 loop
      if n = -1 then
        child := parent || '_default';
        bounds := 'default';
      else
        child := parent || to_char(first + n * interval '1 month', '"_"YYYY"_"MM');
        bounds := format('for values from (%L) to (%L)',
                         to_char(first + n * interval '1 month', 'YYYY-MM-DD "00:00:00+00"'),
                         to_char(first + (n + 1) * interval '1 month', 'YYYY-MM-DD "00:00:00+00"'));
      end if;
      continue when to_regclass(format('tollgate.%I', child)) is not null;
      begin
        execute format('create table tollgate.%I partition of tollgate.%I %s', child, parent, bounds);
      exception when check_violation then
        -- A wrong clock has put rows of that month into the default partition: they stay there.
        raise warning 'partition % not made: the default partition has rows of its month', child;
        continue;
      end;
      execute format('alter table tollgate.%I enable row level security, force row level security', child);
      made := made + 1;
    end loop;
  end loop;
  return made;
end $$;
revoke all on function tollgate.extend_partitions(integer) from public;
select tollgate.extend_partitions(24);
