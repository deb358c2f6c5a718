-- What an organization's teams, people, keys and models may use, and prices agreed with it.
--
-- `scope` and `scope_id` are those of `budget_usage`: the organization (''), or the text of a team_id, a
-- user_id or a key_id, unchanged. `model_pattern` is a model's name, where a trailing `*` stands for any
-- ending; `*` alone is every model. Both are in the keys, so they are never null.
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

-- The cap of a window of `budget_usage`, under the same key without its start.
create table if not exists tollgate.budgets (
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

-- Agreed prices stand beside the list's, in its shape. Like those they never change: a newer one
-- comes after them, because settlements name the price by which they were made.
create table if not exists tollgate.price_overrides (
  organization_id uuid not null references tollgate.organizations,
  price_id uuid not null,
  model text not null check (model <> ''),
  per_request bigint not null check (per_request >= 0),
  effective_from timestamptz not null default clock_timestamp(),
  created_at timestamptz not null default clock_timestamp(),
  created_by text,
  primary key (organization_id, price_id),
  unique (organization_id, model, effective_from)
);

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

do $rights$
declare
  limited text;
begin
  foreach limited in array array['model_policies', 'rate_limits'] loop
    perform tollgate.allow(limited, 'owner', 'select insert update delete');
    perform tollgate.allow(limited, 'admin', 'select insert update delete');
    perform tollgate.allow(limited, 'member', 'select');
    perform tollgate.allow(limited, 'viewer', 'select');
  end loop;

  -- A budget is money: its owner sets it, everybody who calls may know it.
  perform tollgate.allow('budgets', 'owner', 'select insert update delete');
  perform tollgate.allow('budgets', 'admin', 'select');
  perform tollgate.allow('budgets', 'member', 'select');
  perform tollgate.allow('budgets', 'viewer', 'select');
  perform tollgate.allow('budgets', 'ledger', 'select');

  -- The operator agrees on prices; the organization's own people read them, and those who pay only.
  foreach limited in array array['price_overrides', 'price_override_tiers'] loop
    perform tollgate.allow(limited, 'owner', 'select');
    perform tollgate.allow(limited, 'platform', 'select insert');
    perform tollgate.allow(limited, 'ledger', 'select');
  end loop;
end
$rights$;
