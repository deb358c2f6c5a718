-- Organizations, their people, and what each organization may do.

-- In the main database this table is also the directory: it has a row for every organization, wherever the
-- organization's other rows are. Every other place has a row for each organization in it.
create table tollgate.organizations (
  organization_id uuid not null primary key,
  name text not null check (name <> ''),
  suspended boolean not null default false,
  -- Budgets count days and months of this zone. A zone that the server does not know raises 22023.
  time_zone text not null default 'UTC' check ((timestamptz 'epoch' at time zone time_zone) is not null),
  created_at timestamptz not null default clock_timestamp(),
  -- Why the operator suspended the organization, for its people to read.
  suspended_reason text,
  -- Where the organization's rows are, seen from this table. `row`: in this schema. `schema`, `database`: where `place`
  -- says. `elsewhere`: not here; a place says so before an organization has arrived in it and after it has left. The
  -- directory knows where it is.
  placement text not null default 'row' check (placement in ('row', 'schema', 'database', 'elsewhere')),
  -- The name of the schema, or the configuration's name for the database.
  place text check ((placement in ('schema', 'database')) = (place is not null)),
  -- Where the organization is being moved: `row`, `schema`, or `database:` and its name.
  moving_to text check (moving_to ~ '^(row|schema|database:.+)$'),
  -- Whether writes are refused because the last rows are being copied.
  held_up boolean not null default false check (not held_up or moving_to is not null),
  -- Where a move left rows that are no longer used.
  moved_from text check (moved_from is null or (moved_from ~ '^(row|schema|database:.+)$' and moving_to is null))
);
alter table tollgate.organizations enable row level security, force row level security;
create index organizations_placed on tollgate.organizations (organization_id) where placement <> 'row';

create table tollgate.memberships (
  organization_id uuid not null references tollgate.organizations,
  user_id text not null check (user_id <> ''),
  role text not null check (role in ('owner', 'admin', 'member', 'viewer')),
  created_at timestamptz not null default clock_timestamp(),
  primary key (organization_id, user_id)
);
alter table tollgate.memberships enable row level security, force row level security;

-- The policy is one document, because it is read and cached as a whole. The three values that `hold` and `standing`
-- read from it are checked here.
create table tollgate.policies (
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

-- Settings that are neither a limit nor a route: one value for each name.
create table tollgate.settings (
  organization_id uuid not null references tollgate.organizations,
  name text not null check (name <> ''),
  value jsonb not null,
  updated_at timestamptz not null default clock_timestamp(),
  updated_by text,
  primary key (organization_id, name)
);
alter table tollgate.settings enable row level security, force row level security;

-- Which members of the operator's staff may look into an organization, why, and until when. A grant ends by itself.
create table tollgate.break_glass_grants (
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
