-- Teams and who is in them, invitations, the keys of programs, and an organization's settings.
--
-- First the one way in which a table gets its rights, for this migration and every later one.

-- Gives a role these verbs (words with a space between) on a table of organizations, on these columns
-- or on all, and makes the policy of each verb: grant and policy come together or not at all. The
-- rule is the claims' organization, the role the claims give, and what is said further; conditions are
-- initplans, evaluated once a statement. Made for migrations: it runs as who calls it, and only the
-- migrator may.
create or replace function tollgate.allow(
  p_table text, p_role text, p_verbs text, p_columns text default null, p_further text default null) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  grantee constant text := case p_role when 'helper' then 'tollgate_rls_helper' else 'tollgate_' || p_role end;
  rule constant text :=
    case p_role
      -- The column is named, so that the catalog shows that the policy reads it.
      when 'platform' then 'organization_id is not null and (select tollgate.is_platform())'
      else 'organization_id = (select tollgate.current_organization_id())' end
    -- A wrong SET ROLE gains nothing. One's own rows need no role: whoever calls may look back.
    || case
         when p_role in ('owner', 'admin', 'viewer') or (p_role = 'member' and p_further is null)
           then format(' and (select tollgate.current_org_role()) = %L', p_role)
         else '' end
    || coalesce(' and ' || p_further, '');
  verb text;
  policy text;
begin
  if p_role not in ('owner', 'admin', 'member', 'viewer', 'platform', 'ledger', 'helper') then
    raise exception 'no such role: %', p_role using errcode = '22023';
  end if;
  execute format('alter table tollgate.%I enable row level security, force row level security', p_table);
  foreach verb in array string_to_array(p_verbs, ' ') loop
    if verb not in ('select', 'insert', 'update', 'delete') then
      raise exception 'no such verb: %', verb using errcode = '22023';
    end if;
    execute format('grant %s%s on tollgate.%I to %I', verb, coalesce(' (' || p_columns || ')', ''), p_table, grantee);
    policy := format('%s_%s_%s', p_table, verb, p_role);
    -- The same verb may be given on different columns in two steps; the rule is the table's.
    continue when exists (select from pg_policies p
                          where p.schemaname = 'tollgate' and p.tablename = p_table and p.policyname = policy);
    execute format('create policy %I on tollgate.%I for %s to %I %s %s', policy, p_table, verb, grantee,
                   case when verb <> 'insert' then format('using (%s)', rule) end,
                   case when verb in ('insert', 'update') then format('with check (%s)', rule) end);
  end loop;
end $$;
revoke all on function tollgate.allow(text, text, text, text, text) from public;

create table if not exists tollgate.teams (
  organization_id uuid not null references tollgate.organizations,
  -- The claims' `team_id`, as it is.
  team_id uuid not null,
  name text not null check (name <> ''),
  created_at timestamptz not null default clock_timestamp(),
  primary key (organization_id, team_id),
  unique (organization_id, name)
);

-- No key to `memberships`: where another program keeps the membership, that table is empty.
create table if not exists tollgate.team_memberships (
  organization_id uuid not null,
  team_id uuid not null,
  user_id text not null check (user_id <> ''),
  role text not null default 'member' check (role in ('admin', 'member')),
  created_at timestamptz not null default clock_timestamp(),
  primary key (organization_id, team_id, user_id),
  foreign key (organization_id, team_id) references tollgate.teams on delete cascade
);
create index if not exists team_memberships_user on tollgate.team_memberships (organization_id, user_id);

-- The invitation's link names the organization beside the secret, so that it is looked up inside it.
create table if not exists tollgate.invitations (
  organization_id uuid not null references tollgate.organizations,
  invitation_id uuid not null,
  email text not null check (email <> ''),
  role text not null check (role in ('owner', 'admin', 'member', 'viewer')),
  -- HMAC-SHA256 of the link's secret, never the secret.
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

-- A key names its organization in its text, before its secret part: it is looked up by organization
-- and digest, inside one organization, on one shard. So no unique index has to span organizations,
-- and none says whether another has such a key; digests differ everywhere because secrets are random.
create table if not exists tollgate.api_keys (
  organization_id uuid not null references tollgate.organizations,
  key_id uuid not null,
  -- HMAC-SHA256 of the key, under a secret that is not in the database.
  digest bytea not null check (octet_length(digest) = 32),
  name text not null check (name <> ''),
  -- Whom calls with this key are from: a person, or a program's own name.
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
create index if not exists api_keys_user on tollgate.api_keys (organization_id, user_id);
create index if not exists api_keys_team on tollgate.api_keys (organization_id, team_id);

-- What is neither a limit nor a route: one value a name.
create table if not exists tollgate.settings (
  organization_id uuid not null references tollgate.organizations,
  name text not null check (name <> ''),
  value jsonb not null,
  updated_at timestamptz not null default clock_timestamp(),
  updated_by text,
  primary key (organization_id, name)
);

do $rights$
declare
  mine constant text := 'user_id = (select tollgate.uid())';
  -- All but the digest, which nobody needs to see.
  key_seen constant text :=
    'organization_id, key_id, name, user_id, team_id, role, created_at, created_by, expires_at, revoked_at';
  invitation_seen constant text :=
    'organization_id, invitation_id, email, role, invited_by, created_at, expires_at, accepted_at, accepted_by, revoked_at';
begin
  perform tollgate.allow('teams', 'owner', 'select insert update delete');
  perform tollgate.allow('teams', 'admin', 'select insert update');
  perform tollgate.allow('teams', 'member', 'select');
  perform tollgate.allow('teams', 'viewer', 'select');

  perform tollgate.allow('team_memberships', 'owner', 'select insert update delete');
  perform tollgate.allow('team_memberships', 'admin', 'select');
  perform tollgate.allow('team_memberships', 'member', 'select', null, mine);
  perform tollgate.allow('team_memberships', 'viewer', 'select', null, mine);

  -- An invitation is made or revoked, and nothing else of it changes.
  perform tollgate.allow('invitations', 'owner', 'select', invitation_seen);
  perform tollgate.allow('invitations', 'owner', 'insert');
  perform tollgate.allow('invitations', 'owner', 'update', 'revoked_at');

  -- A key may be named anew or revoked. What it may do, and whom it speaks for, never changes. An
  -- admin's key cannot be an owner's: it would be a way to become one.
  perform tollgate.allow('api_keys', 'owner', 'select', key_seen);
  perform tollgate.allow('api_keys', 'owner', 'insert');
  perform tollgate.allow('api_keys', 'owner', 'update', 'name, revoked_at');
  perform tollgate.allow('api_keys', 'admin', 'select', key_seen);
  perform tollgate.allow('api_keys', 'admin', 'insert', null, 'role <> ''owner''');
  perform tollgate.allow('api_keys', 'admin', 'update', 'name, revoked_at');
  perform tollgate.allow('api_keys', 'member', 'select', key_seen, mine);

  perform tollgate.allow('settings', 'owner', 'select insert update delete');
  perform tollgate.allow('settings', 'admin', 'select insert update delete');
  perform tollgate.allow('settings', 'member', 'select');
  perform tollgate.allow('settings', 'viewer', 'select');
end
$rights$;
