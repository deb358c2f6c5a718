-- Usage by day, and the audit log's chain with its signed heads.

-- What the usage of a day comes to, in the organization's time zone, once for each scope it counts
-- in, so that every reader finds its own row by key. A model called by nobody that day has no row.
create table if not exists tollgate.usage_daily (
  organization_id uuid not null,
  day date not null,
  scope text not null check (scope in ('organization', 'team', 'user', 'key')),
  scope_id text not null check ((scope = 'organization') = (scope_id = '')),
  model text not null,
  provider text not null,
  calls bigint not null check (calls >= 0),
  -- Of which not complete, by any ending.
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

-- One row a record, about 120 bytes, kept for ever, so that old exports verify after their records
-- are gone: hence no key to `audit_events`, and no months, which could not keep `seq` unique over all.
create table if not exists tollgate.audit_chain (
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

-- A signed head: the note says size, root and signatures; the first two also stand here to be found by.
create table if not exists tollgate.audit_checkpoints (
  organization_id uuid not null references tollgate.organizations,
  -- How many rows of the chain it covers.
  size bigint not null check (size >= 0),
  root_hash bytea not null check (octet_length(root_hash) = 32),
  note text not null check (note <> ''),
  signed_at timestamptz not null default clock_timestamp(),
  -- Two heads of one size would be two histories.
  primary key (organization_id, size)
);

-- As before, for every table that is partitioned by ranges of time, those of later migrations too.
create or replace function tollgate.extend_partitions(p_months integer default 24) returns integer
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  first date := (date_trunc('month', now() at time zone 'UTC') - interval '1 month')::date;
  parent text;
  child text;
  bounds text;
  made integer := 0;
begin
  for parent in
    select c.relname::text from pg_partitioned_table p join pg_class c on c.oid = p.partrelid
      where c.relnamespace = 'tollgate'::regnamespace and p.partstrat = 'r' order by c.relname
  loop
    for n in -1..p_months + 1 loop
      if n = -1 then
        child := parent || '_default';
        bounds := 'default';
      else
        child := parent || to_char(first + n * interval '1 month', '"_"YYYY"_"MM');
        -- A date takes the day of it.
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
select tollgate.extend_partitions(24);

do $rights$
begin
  perform tollgate.allow('usage_daily', 'owner', 'select');
  perform tollgate.allow('usage_daily', 'admin', 'select');
  perform tollgate.allow('usage_daily', 'member', 'select', null, 'scope = ''user'' and scope_id = (select tollgate.uid())');
  perform tollgate.allow('usage_daily', 'viewer', 'select');
  -- The operator sees what an organization comes to, not who in it.
  perform tollgate.allow('usage_daily', 'platform', 'select', null, 'scope = ''organization''');
  perform tollgate.allow('usage_daily', 'ledger', 'select insert update');

  -- Written once, by the functions that chain and sign, and never again by anybody.
  perform tollgate.allow('audit_chain', 'owner', 'select');
  perform tollgate.allow('audit_chain', 'admin', 'select');
  perform tollgate.allow('audit_chain', 'ledger', 'select insert');
  perform tollgate.allow('audit_checkpoints', 'owner', 'select');
  perform tollgate.allow('audit_checkpoints', 'admin', 'select');
  perform tollgate.allow('audit_checkpoints', 'ledger', 'select insert');
end
$rights$;
