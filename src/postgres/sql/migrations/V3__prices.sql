-- Prices: reference data, the same for everybody. A price never changes; a new one comes after it.
--
-- Rates are whole nano-dollars per million tokens.
create table if not exists tollgate.prices (
  price_id uuid not null primary key,
  model text not null check (model <> ''),
  provider text not null,
  mode text not null,
  per_request bigint not null check (per_request >= 0),
  input_tokens_max bigint check (input_tokens_max >= 0),
  output_tokens_max bigint check (output_tokens_max >= 0),
  effective_from timestamptz not null default clock_timestamp(),
  -- What the price was imported as, to tell whether a newer file changes it.
  source jsonb not null
);
create index if not exists prices_model on tollgate.prices (model, effective_from);

create table if not exists tollgate.price_tiers (
  price_id uuid not null references tollgate.prices,
  from_input_tokens bigint not null check (from_input_tokens >= 0),
  input bigint not null check (input >= 0),
  cached_read bigint not null check (cached_read >= 0),
  cache_write_5m bigint not null check (cache_write_5m >= 0),
  cache_write_1h bigint not null check (cache_write_1h >= 0),
  output bigint not null check (output >= 0),
  reasoning bigint not null check (reasoning >= 0),
  primary key (price_id, from_input_tokens)
);
