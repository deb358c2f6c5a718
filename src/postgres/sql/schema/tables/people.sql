-- Teams and their members, invitations, and the API keys of programs.

create table tollgate.teams (
  organization_id uuid not null references tollgate.organizations,
  -- The claims' `team_id`, unchanged.
  team_id uuid not null,
  name text not null check (name <> ''),
  created_at timestamptz not null default clock_timestamp(),
  primary key (organization_id, team_id),
  unique (organization_id, name)
);
alter table tollgate.teams enable row level security, force row level security;

-- No foreign key to `memberships`: where LiteLLM keeps the memberships, that table is empty.
create table tollgate.team_memberships (
  organization_id uuid not null,
  team_id uuid not null,
  user_id text not null check (user_id <> ''),
  role text not null default 'member' check (role in ('admin', 'member')),
  created_at timestamptz not null default clock_timestamp(),
  primary key (organization_id, team_id, user_id),
  foreign key (organization_id, team_id) references tollgate.teams on delete cascade
);
alter table tollgate.team_memberships enable row level security, force row level security;
create index team_memberships_user on tollgate.team_memberships (organization_id, user_id);

-- The link of an invitation names the organization beside the secret, so that the invitation is looked up within its
-- organization.
create table tollgate.invitations (
  organization_id uuid not null references tollgate.organizations,
  invitation_id uuid not null,
  email text not null check (email <> ''),
  role text not null check (role in ('owner', 'admin', 'member', 'viewer')),
  -- HMAC-SHA256 of the link's secret. The secret itself is never stored.
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

-- A key's text names its organization before the secret part. The key is looked up by organization and digest, within
-- one organization and on one shard, so no unique index has to span organizations, and none tells whether another
-- organization has the same key. Digests differ everywhere, because secrets are random.
create table tollgate.api_keys (
  organization_id uuid not null references tollgate.organizations,
  key_id uuid not null,
  -- HMAC-SHA256 of the key, under a secret that is not in the database.
  digest bytea not null check (octet_length(digest) = 32),
  name text not null check (name <> ''),
  -- The user to whom calls with this key belong: a person, or a name that a program was given.
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
create index api_keys_user on tollgate.api_keys (organization_id, user_id);
create index api_keys_team on tollgate.api_keys (organization_id, team_id);
