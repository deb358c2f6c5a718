-- Where an organization's calls go, with which credentials, past which guardrails, with which prompts;
-- and when the operator's staff was let in.

-- References only: what a secret store needs to find the secret. A value does not fit into the column.
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

-- The targets of a model's name, in the order in which they are tried.
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
create index if not exists model_routes_credential on tollgate.model_routes (organization_id, credential_id);

create table if not exists tollgate.guardrails (
  organization_id uuid not null references tollgate.organizations,
  guardrail_id uuid not null,
  name text not null check (name <> ''),
  -- On what is asked, or on what is answered.
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

create table if not exists tollgate.prompt_templates (
  organization_id uuid not null references tollgate.organizations,
  template_id uuid not null,
  name text not null check (name <> ''),
  -- The version that a call by name gets; null until there is one.
  version_live integer,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  updated_by text,
  primary key (organization_id, template_id),
  unique (organization_id, name)
);

-- A version never changes, because records of calls name it.
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

do $live$
begin
  if not exists (select from pg_catalog.pg_constraint where conname = 'prompt_templates_version_live'
                 and connamespace = 'tollgate'::regnamespace) then
    alter table tollgate.prompt_templates add constraint prompt_templates_version_live
      foreign key (organization_id, template_id, version_live) references tollgate.prompt_versions;
  end if;
end
$live$;
create index if not exists prompt_templates_live on tollgate.prompt_templates (organization_id, template_id, version_live);

-- Who of the operator's staff may look into an organization, why, and until when. Ends by itself.
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

do $rights$
declare
  configured text;
begin
  -- Credentials and routes say how an organization stands with its providers: not for every member.
  foreach configured in array array['provider_credentials', 'model_routes', 'guardrails'] loop
    perform tollgate.allow(configured, 'owner', 'select insert update delete');
    perform tollgate.allow(configured, 'admin', 'select insert update delete');
  end loop;
  perform tollgate.allow('guardrails', 'viewer', 'select');

  perform tollgate.allow('prompt_templates', 'owner', 'select insert update delete');
  perform tollgate.allow('prompt_templates', 'admin', 'select insert update delete');
  perform tollgate.allow('prompt_templates', 'member', 'select');
  perform tollgate.allow('prompt_templates', 'viewer', 'select');
  perform tollgate.allow('prompt_versions', 'owner', 'select insert');
  perform tollgate.allow('prompt_versions', 'admin', 'select insert');
  perform tollgate.allow('prompt_versions', 'member', 'select');
  perform tollgate.allow('prompt_versions', 'viewer', 'select');

  -- The owner sees who looked. Nobody writes a grant by hand: a function will, with its audit record,
  -- as the ledger's role; what it may change afterwards is the end.
  perform tollgate.allow('break_glass_grants', 'owner', 'select');
  perform tollgate.allow('break_glass_grants', 'platform', 'select');
  perform tollgate.allow('break_glass_grants', 'ledger', 'select insert');
  perform tollgate.allow('break_glass_grants', 'ledger', 'update', 'revoked_at');
end
$rights$;
