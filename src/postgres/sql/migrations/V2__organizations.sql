-- Organizations, who is in them, and what they may do.
create table if not exists tollgate.organizations (
  organization_id uuid not null primary key,
  name text not null check (name <> ''),
  suspended boolean not null default false,
  -- Budgets count days and months of this zone. A zone that the server does not know raises 22023.
  time_zone text not null default 'UTC' check ((timestamptz 'epoch' at time zone time_zone) is not null),
  created_at timestamptz not null default clock_timestamp()
);

create table if not exists tollgate.memberships (
  organization_id uuid not null references tollgate.organizations,
  user_id text not null check (user_id <> ''),
  role text not null check (role in ('owner', 'admin', 'member', 'viewer')),
  created_at timestamptz not null default clock_timestamp(),
  primary key (organization_id, user_id)
);

-- The policy is one document, because it is read whole and cached whole; the two facts that the
-- hold statement reads from it are checked here.
create table if not exists tollgate.policies (
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

-- Owned by the one role that may read memberships past the policies; given to it in the last step.
create or replace function tollgate.get_org_role(p_organization_id uuid) returns text
  language sql stable security definer set search_path = pg_catalog, pg_temp
  as 'select role from tollgate.memberships where organization_id = p_organization_id and user_id = tollgate.uid()';

create or replace function tollgate.is_org_member(p_organization_id uuid) returns boolean
  language sql stable security definer set search_path = pg_catalog, pg_temp
  as 'select tollgate.get_org_role(p_organization_id) is not null';

-- The caller's role in the claims' organization: the token's, else the membership table's.
create or replace function tollgate.current_org_role() returns text language sql stable parallel safe
  return coalesce(nullif(tollgate.jwt() ->> 'role_in_organization', ''),
                  tollgate.get_org_role(tollgate.current_organization_id()));
