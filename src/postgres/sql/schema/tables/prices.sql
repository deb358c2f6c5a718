-- Prices. List prices are reference data, the same for every organization; agreed prices and mark-ups belong to one
-- organization. A price never changes: a newer one comes after it, because settlements name the price that they used.
--
-- Rates are whole nano-dollars for a million tokens.

create table tollgate.prices (
  price_id uuid not null primary key,
  model text not null check (model <> ''),
  provider text not null,
  mode text not null,
  per_request bigint not null check (per_request >= 0),
  input_tokens_max bigint check (input_tokens_max >= 0),
  output_tokens_max bigint check (output_tokens_max >= 0),
  effective_from timestamptz not null default clock_timestamp(),
  -- The imported JSON. An import compares it with its own to see whether the price has changed.
  source jsonb not null,
  -- Of two versions with the same `effective_from`, the one that was created later is in force.
  created_at timestamptz not null default now(),
  -- A foreign key names both columns, so that tiers come into force with their price.
  unique (price_id, effective_from)
);
alter table tollgate.prices enable row level security, force row level security;
create index prices_model on tollgate.prices (model, effective_from);

create table tollgate.price_tiers (
  price_id uuid not null,
  from_input_tokens bigint not null check (from_input_tokens >= 0),
  input bigint not null check (input >= 0),
  cached_read bigint not null check (cached_read >= 0),
  cache_write_5m bigint not null check (cache_write_5m >= 0),
  cache_write_1h bigint not null check (cache_write_1h >= 0),
  output bigint not null check (output >= 0),
  reasoning bigint not null check (reasoning >= 0),
  -- The price's own, so that the policy of this table reads no other table.
  effective_from timestamptz not null,
  primary key (price_id, from_input_tokens),
  foreign key (price_id, effective_from) references tollgate.prices (price_id, effective_from)
);
alter table tollgate.price_tiers enable row level security, force row level security;

-- Prices that were agreed with one organization, in the shape of list prices.
create table tollgate.price_overrides (
  organization_id uuid not null references tollgate.organizations,
  price_id uuid not null,
  model text not null check (model <> ''),
  per_request bigint not null check (per_request >= 0),
  effective_from timestamptz not null default clock_timestamp(),
  created_at timestamptz not null default clock_timestamp(),
  created_by text,
  -- An agreed price is never deleted. A withdrawn row says that the list price holds from then on; its rates are not
  -- used.
  withdrawn boolean not null default false,
  primary key (organization_id, price_id),
  unique (organization_id, model, effective_from)
);
alter table tollgate.price_overrides enable row level security, force row level security;

create table tollgate.price_override_tiers (
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

-- What is added to the list price from a moment on. An agreed price has no mark-up.
create table tollgate.price_markups (
  organization_id uuid not null references tollgate.organizations,
  effective_from timestamptz not null default clock_timestamp(),
  -- Hundredths of a percent.
  markup_bps integer not null check (markup_bps between 0 and 1000000),
  created_at timestamptz not null default clock_timestamp(),
  created_by text,
  primary key (organization_id, effective_from)
);
alter table tollgate.price_markups enable row level security, force row level security;
