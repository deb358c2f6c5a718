-- Where an organization's calls are sent, with which credentials, guardrails and prompts.

-- References only: what a secret store needs to find the secret. A secret's value does not fit the check.
create table tollgate.provider_credentials (
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

-- The targets of a model's name, in the order in which they are tried.
create table tollgate.model_routes (
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
create index model_routes_credential on tollgate.model_routes (organization_id, credential_id);

create table tollgate.guardrails (
  organization_id uuid not null references tollgate.organizations,
  guardrail_id uuid not null,
  name text not null check (name <> ''),
  -- Whether the guardrail reads what is asked or what is answered.
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

create table tollgate.prompt_templates (
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

-- A version never changes, because records of calls name it.
create table tollgate.prompt_versions (
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

-- The version of a template that a call by name uses; without a row there is none yet. A table of its own, because a
-- column of `prompt_templates` would make the two tables point at each other.
create table tollgate.prompt_versions_live (
  organization_id uuid not null,
  template_id uuid not null,
  version integer not null,
  updated_at timestamptz not null default clock_timestamp(),
  updated_by text,
  primary key (organization_id, template_id),
  foreign key (organization_id, template_id, version) references tollgate.prompt_versions
);
alter table tollgate.prompt_versions_live enable row level security, force row level security;
create index prompt_versions_live_version on tollgate.prompt_versions_live (organization_id, template_id, version);
