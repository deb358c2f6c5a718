-- Ways to weaken the schema, or what is around it, each with all that the proof then finds: `--> ` code, object and
-- message, in any order; `--> and more` where the rest is not of interest. What is not said to be otherwise is the
-- catalog's to find. `-- since` and `-- before` a version of the server; `:superuser` and `:database` are where it runs.

alter table tollgate.settings no force row level security;
--> C01 settings: row security is not forced

alter table tollgate.settings disable row level security;
--> C01 settings: row security is off

create table tollgate.notes (id uuid primary key);
alter table tollgate.notes owner to tollgate_migrator;
alter table tollgate.notes enable row level security, force row level security;
--> C02 notes: has no column organization_id uuid not null

grant update on tollgate.schema_history to tollgate_login;
--> C03 schema_history: tollgate_login may update the history of migrations
--> C03 schema_history: tollgate_login may update, and no policy of that verb is for this role

grant select on tollgate.schema_history to public;
--> C03 schema_history: PUBLIC may select the history of migrations
--> C03 schema_history: PUBLIC may select, and no policy of that verb is for this role

grant select on tollgate.schema_history to tollgate_owner;
create policy schema_history_select_owner on tollgate.schema_history for select to tollgate_owner using (version is not null);
--> C03 schema_history: tollgate_owner may select the history of migrations

alter policy schema_history_insert_migrator on tollgate.schema_history with check (version > 0);
--> C03 schema_history: is not as it must be, or is missing: schema_history_insert_migrator

alter table tollgate.schema_history disable row level security;
--> C01 schema_history: row security is off

grant select (key_id, inner_pad) on tollgate.seal_keys to tollgate_platform;
--> C03 seal_keys.inner_pad: tollgate_platform may select, and no policy of that verb is for this role
--> C03 seal_keys.key_id: tollgate_platform may select, and no policy of that verb is for this role
--> C24 seal_keys.inner_pad: tollgate_platform may select the keys of seals
--> C24 seal_keys.key_id: tollgate_platform may select the keys of seals

grant update on tollgate.usage to tollgate_viewer;
--> C03 usage: tollgate_viewer may update, and no policy of that verb is for this role

grant delete on tollgate.usage to public;
--> C03 usage: PUBLIC may delete, and no policy of that verb is for this role

grant select on tollgate.usage to tollgate_viewer with grant option;
--> C03 usage: tollgate_viewer may hand on its right to select

alter policy usage_select_owner on tollgate.usage to public;
--> C03 usage: tollgate_owner may select, and no policy of that verb is for this role
--> C04 usage.usage_select_owner: is for PUBLIC
--> C23 usage.usage_select_owner: lets a role do what it has no right to: one of the two is a mistake

drop policy settings_delete_mover on tollgate.settings;
--> C03 settings: tollgate_mover may delete, and no policy of that verb is for this role
--> C27 settings: the mover may not delete: it stays behind when its organization moves

drop policy settings_select_mover on tollgate.settings;
--> C03 settings: tollgate_mover may select, and no policy of that verb is for this role
--> C27 settings: the mover may not select: it stays behind when its organization moves

drop policy settings_insert_mover on tollgate.settings;
--> C03 settings: tollgate_mover may insert, and no policy of that verb is for this role
--> C27 settings: the mover may not insert: it stays behind when its organization moves

create policy "both" on tollgate.usage for all to tollgate_member using (organization_id = (select tollgate.current_organization_id()));
--> C04 usage.both: is for all verbs
--> C04 usage.both: is one of several for the same verb and role: either is enough
--> C04 usage.usage_select_member: is one of several for the same verb and role: either is enough

create policy usage_select_two on tollgate.usage for select to tollgate_owner, tollgate_admin using (organization_id = (select tollgate.current_organization_id()));
--> C04 usage.usage_select_admin: is one of several for the same verb and role: either is enough
--> C04 usage.usage_select_owner: is one of several for the same verb and role: either is enough
--> C04 usage.usage_select_two: is for several roles
--> C04 usage.usage_select_two: is one of several for the same verb and role: either is enough

alter policy policies_update_owner on tollgate.policies rename to something;
--> C04 policies.something: is not named after its table, verb and role: policies_update_owner

create policy seal_keys_insert_migrator_two on tollgate.seal_keys for insert to tollgate_migrator with check (key_id is not null);
--> C04 seal_keys.seal_keys_insert_migrator: is one of several for the same verb and role: either is enough
--> C04 seal_keys.seal_keys_insert_migrator_two: is not named after its table, verb and role: seal_keys_insert_migrator
--> C04 seal_keys.seal_keys_insert_migrator_two: is one of several for the same verb and role: either is enough
--> C24 seal_keys.seal_keys_insert_migrator_two: lets somebody at the keys of seals

alter policy usage_select_owner on tollgate.usage using (organization_id = (select tollgate.entered_organization_id()));
--> C05 usage.usage_select_owner: does not ask what the claims say
--> C05 usage.usage_select_owner: reads claims that nobody has verified

alter policy usage_select_owner on tollgate.usage using ((select tollgate.current_organization_id()) is not null);
--> C05 usage.usage_select_owner: does not read organization_id

alter policy usage_select_owner on tollgate.usage using (organization_id is not null);
--> C05 usage.usage_select_owner: does not ask what the claims say

alter policy usage_select_owner on tollgate.usage using (true);
--> C05 usage.usage_select_owner: does not ask what the claims say
--> C05 usage.usage_select_owner: does not read organization_id
--> C05 usage.usage_select_owner: lets everything through: true

alter policy settings_insert_owner on tollgate.settings with check (true);
--> C05 settings.settings_insert_owner: does not ask what the claims say
--> C05 settings.settings_insert_owner: does not read organization_id
--> C05 settings.settings_insert_owner: lets everything through: true
--> C34 settings.settings_insert_owner: lets a person change it whom a kill switch has stopped

drop policy settings_insert_owner on tollgate.settings;
create policy settings_insert_owner on tollgate.settings for insert to tollgate_owner;
--> C05 settings.settings_insert_owner: does not ask what the claims say
--> C05 settings.settings_insert_owner: does not read organization_id
--> C06 settings.settings_insert_owner: has no WITH CHECK
--> C34 settings.settings_insert_owner: lets a person change it whom a kill switch has stopped

create view tollgate.seen as select * from tollgate.usage;
--> C07 seen: belongs to :superuser, not to tollgate_migrator
--> C10 tollgate.seen: reads with the rights of its owner: security_invoker is off

create sequence tollgate.numbers;
grant usage on sequence tollgate.numbers to tollgate_member;
--> C07 numbers: belongs to :superuser, not to tollgate_migrator
--> C16 numbers: tollgate_member has USAGE: it says how much others write

alter role tollgate_member bypassrls;
--> C07 tollgate_member: has BYPASSRLS

alter role tollgate_ledger superuser;
--> C07 tollgate_ledger: has SUPERUSER

alter role tollgate_platform createrole;
--> C07 tollgate_platform: has CREATEROLE

-- since 16
alter role tollgate_login inherit;
--> C07 tollgate_login: has INHERIT

alter role tollgate_owner login;
--> C07 tollgate_owner: has LOGIN

alter role tollgate_rls_helper replication;
--> C07 tollgate_rls_helper: has REPLICATION

alter role tollgate_viewer createdb;
--> C07 tollgate_viewer: has CREATEDB

alter table tollgate.settings owner to tollgate_ledger;
--> C07 settings: belongs to tollgate_ledger, not to tollgate_migrator

alter schema tollgate owner to tollgate_ledger;
--> C07 schema tollgate: belongs to tollgate_ledger, not to tollgate_migrator
--> C18 schema tollgate: tollgate_ledger may create objects in it
--> C18 schema tollgate: tollgate_migrator may create objects in it

alter role tollgate_mover rename to moved;
--> C07 tollgate_mover: is missing
--> and more

-- before 16
alter role tollgate_login inherit;
--> C07 tollgate_login: has INHERIT
--> C08 tollgate_login: has the rights of tollgate_admin without becoming it
--> C08 tollgate_login: has the rights of tollgate_member without becoming it
--> C08 tollgate_login: has the rights of tollgate_owner without becoming it
--> C08 tollgate_login: has the rights of tollgate_platform without becoming it
--> C08 tollgate_login: has the rights of tollgate_viewer without becoming it

grant tollgate_migrator to tollgate_login;
--> C08 tollgate_login: can become tollgate_ledger
--> C08 tollgate_login: can become tollgate_litellm
--> C08 tollgate_login: can become tollgate_migrator
--> C08 tollgate_login: can become tollgate_mover
--> C08 tollgate_login: can become tollgate_rls_helper
--> C08 tollgate_login: can become tollgate_seals

grant tollgate_owner to tollgate_member;
--> C08 tollgate_member: can become tollgate_owner

grant tollgate_member to tollgate_login with admin option;
--> C08 tollgate_login: may hand on tollgate_member

grant pg_read_all_data to tollgate_viewer;
--> C08 tollgate_login: can become pg_read_all_data
--> C08 tollgate_viewer: can become pg_read_all_data

grant tollgate_ledger to tollgate_migrator with admin option;
--> C08 tollgate_migrator: may hand on tollgate_ledger

-- since 16
grant tollgate_owner to tollgate_login with inherit true;
--> C08 tollgate_login: has the rights of tollgate_owner without becoming it

-- since 16
grant tollgate_viewer to tollgate_member with set false, inherit true;
--> C08 tollgate_member: can become tollgate_viewer

-- since 16
grant pg_create_subscription to tollgate_admin;
--> C08 tollgate_admin: can become pg_create_subscription
--> C08 tollgate_login: can become pg_create_subscription

-- since 17
grant pg_maintain to tollgate_login;
--> C08 tollgate_login: can become pg_maintain

-- since 18
grant pg_signal_autovacuum_worker to tollgate_ledger;
--> C08 tollgate_ledger: can become pg_signal_autovacuum_worker
--> C08 tollgate_migrator: can become pg_signal_autovacuum_worker

grant truncate on tollgate.usage to tollgate_owner;
--> C09 usage: tollgate_owner has TRUNCATE

grant references (organization_id) on tollgate.usage to public;
--> C09 usage.organization_id: PUBLIC has REFERENCES

-- since 17
grant maintain on tollgate.usage to tollgate_owner;
--> C09 usage: tollgate_owner has MAINTAIN

create view public.seen as select * from tollgate.usage;
--> C10 public.seen: reads with the rights of its owner: security_invoker is off

create view public.keys as select * from tollgate.seal_keys;
--> C10 public.keys: reads with the rights of its owner: security_invoker is off

create materialized view public.kept as select * from tollgate.usage;
--> C11 public.kept: is a materialized view: it has the rows of all organizations

create foreign data wrapper far;
create server far foreign data wrapper far;
create foreign table tollgate.far (organization_id uuid not null) server far;
alter foreign table tollgate.far owner to tollgate_migrator;
--> C11 tollgate.far: is a foreign table: it has no row security

alter function tollgate.hold reset search_path;
--> C12 tollgate.hold(uuid,text,uuid[],bigint[],bigint[],bigint[],text[],uuid[],uuid[]): runs with its owner's rights and finds its names where the caller says: search_path is not pinned

alter function tollgate.hold owner to tollgate_platform;
--> C12 tollgate.hold(uuid,text,uuid[],bigint[],bigint[],bigint[],text[],uuid[],uuid[]): belongs to tollgate_platform

grant execute on function tollgate.hold to public;
--> C12 tollgate.hold(uuid,text,uuid[],bigint[],bigint[],bigint[],text[],uuid[],uuid[]): may be called by PUBLIC

alter function tollgate.uid() leakproof;
--> C13 tollgate.uid(): is LEAKPROOF: it may be called before the policy

alter table tollgate.seal_keys drop constraint seal_keys_pkey;
--> C14 seal_keys: has no primary key
--> C29 seal_keys: has no PRIMARY KEY (key_id)

create unique index anywhere on tollgate.settings (name);
--> C14 settings.anywhere: is unique over all organizations: organization_id does not lead it

create operator public.=== (leftarg = uuid, rightarg = uuid, function = uuid_eq, commutator = ===);
create operator class public.odd for type uuid using btree as operator 1 <, operator 2 <=, operator 3 public.===, operator 4 >=, operator 5 >, function 1 uuid_cmp(uuid, uuid);
alter table tollgate.settings add constraint odd exclude using btree (organization_id public.odd with public.===);
--> C14 settings.odd: excludes rows of other organizations: it compares organization_id by something else than =

alter table tollgate.settings drop constraint settings_pkey;
--> C14 settings: has no primary key
--> C29 settings: has no PRIMARY KEY (organization_id, name)

create unique index on tollgate.teams (team_id);
create table tollgate.notes (organization_id uuid not null, note_id uuid not null, team_id uuid, primary key (organization_id, note_id));
alter table tollgate.notes owner to tollgate_migrator;
alter table tollgate.notes enable row level security, force row level security;
alter table tollgate.notes add constraint astray foreign key (team_id) references tollgate.teams (team_id);
grant select, insert, delete on tollgate.notes to tollgate_mover;
create policy notes_select_mover on tollgate.notes for select to tollgate_mover using (organization_id = (select tollgate.current_organization_id()));
create policy notes_insert_mover on tollgate.notes for insert to tollgate_mover with check (organization_id = (select tollgate.current_organization_id()) and (select tollgate.is_away()));
create policy notes_delete_mover on tollgate.notes for delete to tollgate_mover using (organization_id = (select tollgate.current_organization_id()) and (select tollgate.is_away()));
--> C14 teams.teams_team_id_idx: is unique over all organizations: organization_id does not lead it
--> C15 notes.astray: may point at a row of another organization in teams

alter table tollgate.settings drop constraint settings_organization_id_fkey;
alter table tollgate.settings add constraint settings_organization_id_fkey foreign key (organization_id) references tollgate.organizations not valid;
--> C15 settings.settings_organization_id_fkey: is not valid: rows that were there may point anywhere
--> C29 settings: has no FOREIGN KEY (organization_id) REFERENCES organizations(organization_id)

-- since 18
alter table tollgate.settings alter constraint settings_organization_id_fkey not enforced;
--> C15 settings.settings_organization_id_fkey: is not enforced: rows may point anywhere
--> C29 settings: has no FOREIGN KEY (organization_id) REFERENCES organizations(organization_id)

create publication leak for table tollgate.organizations;
--> C17 leak: organizations: is published past row security

create publication leak for all tables;
--> C17 leak: publishes all tables past row security
--> C17 leak: organizations: is published past row security
--> and more

create publication leak for tables in schema tollgate;
--> C17 leak: organizations: is published past row security
--> and more

grant create on schema tollgate to tollgate_member;
--> C18 schema tollgate: tollgate_member has CREATE on it
--> C18 schema tollgate: tollgate_member may create objects in it

grant usage on schema tollgate to public;
--> C18 schema tollgate: PUBLIC has USAGE on it

grant create on schema public to tollgate_ledger;
--> C18 schema public: tollgate_ledger may create objects in it
--> C18 schema public: tollgate_migrator may create objects in it

grant usage on schema tollgate to tollgate_owner with grant option;
--> C18 schema tollgate: tollgate_owner has USAGE on it

create rule copied as on insert to tollgate.memberships do also select 1;
--> C19 memberships.copied: is a rule: it rewrites other people's statements

create function public.t() returns trigger language plpgsql as 'begin return new; end';
create trigger copied before insert on tollgate.memberships for each row execute function public.t();
--> C19 memberships.copied: is a trigger: it runs in other people's statements

-- since 17
create function public.greet() returns event_trigger language plpgsql as 'begin end';
create event trigger greeting on login execute function public.greet();
--> C19 event trigger greeting: runs at every login, before the first statement

alter role tollgate_member set row_security = off;
--> C20 tollgate_member: changes how statements are read: row_security

alter role tollgate_login set "request.jwt.claims" = '{}';
--> C20 tollgate_login: changes how statements are read: request.jwt.claims

alter role tollgate_login set search_path = public;
--> C20 tollgate_login: changes how statements are read: search_path

alter role all set search_path = public;
--> C20 database :database: changes how statements are read: search_path

grant set on parameter session_replication_role to tollgate_member;
--> C20 tollgate_member: has SET on the parameter session_replication_role

grant alter system on parameter session_preload_libraries to public;
--> C20 PUBLIC: has ALTER SYSTEM on the parameter session_preload_libraries

alter default privileges for role tollgate_migrator in schema tollgate grant select on tables to tollgate_member;
--> C21 what tollgate_migrator makes in tollgate: is at once open to tollgate_member: SELECT

alter default privileges for role tollgate_migrator grant execute on functions to tollgate_member;
--> C21 what tollgate_migrator makes: is at once open to PUBLIC: EXECUTE
--> C21 what tollgate_migrator makes: is at once open to tollgate_member: EXECUTE

-- since 17
alter default privileges for role tollgate_migrator in schema tollgate grant maintain on tables to tollgate_member;
--> C21 what tollgate_migrator makes in tollgate: is at once open to tollgate_member: MAINTAIN

alter policy usage_select_owner on tollgate.usage using (organization_id = tollgate.current_organization_id());
--> C22 usage.usage_select_owner: calls a function for every row, not once a statement

revoke select on tollgate.seal_keys from tollgate_seals;
--> C23 seal_keys.seal_keys_select_seals: lets a role do what it has no right to: one of the two is a mistake

create policy seal_keys_select_platform on tollgate.seal_keys for select to tollgate_platform using (key_id is not null);
--> C23 seal_keys.seal_keys_select_platform: lets a role do what it has no right to: one of the two is a mistake
--> C24 seal_keys.seal_keys_select_platform: lets somebody at the keys of seals

revoke select on tollgate.usage from tollgate_viewer;
--> C23 usage.usage_select_viewer: lets a role do what it has no right to: one of the two is a mistake

create policy seal_keys_select_login on tollgate.seal_keys for select to tollgate_login using (key_id is not null);
--> C23 seal_keys.seal_keys_select_login: lets a role do what it has no right to: one of the two is a mistake
--> C24 seal_keys.seal_keys_select_login: lets somebody at the keys of seals

create or replace function tollgate.sealing() returns boolean language sql stable as 'select true';
--> C24 jwt(): does not read the claims in the mode that sealing() says
--> C24 verified(text): does not read the claims in the mode that sealing() says

drop policy seal_keys_insert_migrator on tollgate.seal_keys;
--> C24 seal_keys: is not as it must be, or is missing: seal_keys_insert_migrator

create function tollgate.unentered(p_organization_id uuid, p_claims text) returns bigint language sql stable security definer set search_path = pg_catalog, pg_temp as 'select count(*) from tollgate.usage where organization_id = p_organization_id';
revoke all on function tollgate.unentered(uuid, text) from public;
grant execute on function tollgate.unentered(uuid, text) to tollgate_login;
alter function tollgate.unentered(uuid, text) owner to tollgate_ledger;
--> C25 tollgate.unentered(uuid,text): acts as the ledger, and does not put verified claims into force

do $$ declare whole text := pg_get_functiondef('tollgate.renew'::regproc); begin execute replace(replace(whole, 'tollgate.stay(', 'pg_typeof('), 'stay', 'go'); end $$;
--> C28 tollgate.renew(uuid,text,uuid[],bigint[],bigint[],bigint): writes, and does not look whether the organization is being moved: what it writes may be lost

alter table tollgate.teams drop constraint teams_organization_id_name_key;
--> C29 teams: has no UNIQUE (organization_id, name)

drop index tollgate.credit_ledger_request;
--> C29 credit_ledger: has no UNIQUE INDEX USING btree (organization_id, request_id, kind) WHERE (request_id IS NOT NULL)

alter policy settings_select_owner on tollgate.settings using (organization_id = (select tollgate.current_organization_id())
  and (select tollgate.current_org_role()) = 'owner' and name in (select t.name from tollgate.teams t));
--> C30 settings.settings_select_owner: reads tollgate.teams

create or replace function tollgate.is_away() returns boolean language sql stable parallel safe
  return not exists (select from tollgate.organizations where organization_id = tollgate.current_organization_id() and placement = 'row');
--> C31 tollgate.is_away(): depends on tollgate.organizations, which depends on it
--> C31 tollgate.organizations: depends on tollgate.is_away(), which depends on it

alter table tollgate.prompt_templates add column live integer;
alter table tollgate.prompt_templates add constraint live foreign key (organization_id, template_id, live) references tollgate.prompt_versions;
--> C31 tollgate.prompt_templates: depends on tollgate.prompt_versions, which depends on it
--> C31 tollgate.prompt_versions: depends on tollgate.prompt_templates, which depends on it

create role somebody;
create table public.theirs (name text);
alter table public.theirs owner to somebody;
create function public.they(text) returns text language sql as 'select $1';
alter function public.they(text) owner to somebody;
create function tollgate.crossed() returns text language sql security definer set search_path = pg_catalog, pg_temp
  as 'select public.they(name) from public.theirs';
revoke all on function tollgate.crossed() from public;
alter function tollgate.crossed() owner to tollgate_ledger;
--> C32 tollgate.crossed(): uses public.theirs, which belongs to somebody
--> C32 tollgate.crossed(): uses public.they(text), which belongs to somebody

create role somebody;
create table public."Theirs" (name text);
alter table public."Theirs" owner to somebody;
create function tollgate.crossed() returns text language sql security definer set search_path = pg_catalog, pg_temp
  begin atomic select name from public."Theirs"; end;
revoke all on function tollgate.crossed() from public;
alter function tollgate.crossed() owner to tollgate_migrator;
--> C32 tollgate.crossed(): uses public."Theirs", which belongs to somebody

create role somebody;
create view public."LiteLLM_OrganizationMembership" as select ''::text as user_id, ''::text as organization_id, ''::text as user_role;
alter view public."LiteLLM_OrganizationMembership" owner to somebody;
--> C32 tollgate.role_by_litellm(uuid,text): reads public."LiteLLM_OrganizationMembership", which is no ordinary table: its owner can run code in it

create policy seal_keys_select_helper on tollgate.seal_keys for select to tollgate_rls_helper using (key_id is not null);
grant select on tollgate.seal_keys to tollgate_rls_helper;
--> C24 seal_keys.seal_keys_select_helper: lets somebody at the keys of seals
--> C24 seal_keys: tollgate_rls_helper may select the keys of seals
--> C33 seal_keys: tollgate_rls_helper may select it, which is not what this role is for

grant execute on function tollgate.role_in(uuid, text) to tollgate_member;
--> C33 tollgate.role_in(uuid,text): may be called by tollgate_member, without a look at the claims and the table

alter function tollgate.role_by_litellm owner to tollgate_rls_helper;
--> C12 tollgate.role_by_litellm(uuid,text): belongs to tollgate_rls_helper

alter policy kill_switches_delete_admin on tollgate.kill_switches using (organization_id = (select tollgate.current_organization_id())
  and (select tollgate.current_org_role()) = 'admin');
--> C34 kill_switches.kill_switches_delete_admin: lets a person change it whom a kill switch has stopped

alter role tollgate_login set log_min_duration_statement = 250;
alter role tollgate_login set log_parameter_max_length = 100;
--> C35 tollgate_login: its statements are logged with their parameters, which are prompts, answers and claims: log_min_duration_statement = 250

alter role tollgate_login reset log_parameter_max_length;
alter database :database set log_statement = 'mod';
--> C35 tollgate_login: its statements are logged with their parameters, which are prompts, answers and claims: log_statement = mod

alter role tollgate_login set log_parameter_max_length_on_error = -1;
--> C35 tollgate_login: its statements are logged with their parameters, which are prompts, answers and claims: log_parameter_max_length_on_error = -1

-- in a schema of its own
alter table tollgate.settings drop constraint only_organization;
--> C26 settings: may have rows of every organization, in the schema of one

-- in a schema of its own
create or replace function tollgate.only_organization() returns uuid language sql immutable parallel safe
  return '00000000-0000-0000-0000-000000000000'::uuid;
--> C26 only_organization(): is not the organization that the schema is named after

-- table notes
create table tollgate.notes (organization_id uuid not null, note_id uuid not null, text text not null check (text = md5(note_id::text)),
  primary key (organization_id, note_id));
--> P00 notes: new row for relation "notes" violates check constraint "notes_check"
--> P00 notes: has no canary

-- table settings
create function public.lost() returns trigger language plpgsql as 'begin return null; end';
create trigger lost before insert on tollgate.settings for each row execute function public.lost();
--> P00 settings: gave no row back
--> P00 settings: has no canary

-- everything
create or replace function tollgate.current_organization_id() returns uuid language sql stable return null::uuid;
--> P00 tollgate_owner: sees not even its own rows: the claims have no effect
--> P00 tollgate_admin: sees not even its own rows: the claims have no effect
--> P00 tollgate_member: sees not even its own rows: the claims have no effect
--> P00 tollgate_viewer: sees not even its own rows: the claims have no effect
--> and more

-- table settings
alter table tollgate.settings disable row level security;
--> P01 settings: tollgate_owner reaches 1 rows by select
--> P02 settings: tollgate_owner reaches 2 rows by select
--> P03 settings: tollgate_owner reaches 2 rows by select
--> P07 settings: tollgate_mover reaches 2 rows by delete
--> and more

-- table settings
alter policy settings_insert_owner on tollgate.settings with check (true);
--> P01 settings: tollgate_owner gets insert past the policies; only a constraint stops it
--> and more

-- table settings
alter policy settings_select_owner on tollgate.settings using (1 / (select 0) = 1);
--> P01 settings: select as tollgate_owner shows nothing: SQLSTATE 22012
--> and more

-- table usage
create or replace function tollgate.current_organization_id() returns uuid language sql stable security definer as
  $$ select organization_id from tollgate.organizations
       where organization_id::text <> coalesce(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'organization_id', '') limit 1 $$;
alter function tollgate.current_organization_id() owner to current_user;
--> P01 usage: tollgate_owner reaches 1 rows by select
--> and more

-- table settings
alter policy settings_select_owner on tollgate.settings using (organization_id = (select tollgate.current_organization_id()));
--> P02 settings: tollgate_owner reaches 1 rows by select

-- functions
create or replace function tollgate.is_org_member(p_organization_id uuid) returns boolean language sql stable security definer
  set search_path = pg_catalog, pg_temp as 'select true';
create or replace function tollgate.get_org_role(p_organization_id uuid) returns text language sql stable security definer
  set search_path = pg_catalog, pg_temp as 'select role from tollgate.memberships where organization_id = p_organization_id';
create or replace function tollgate.enter(p_organization_id uuid, p_claims text) returns void language plpgsql
  set search_path = pg_catalog, pg_temp as $$ begin
    perform set_config('request.jwt.claims', jsonb_build_object('organization_id', p_organization_id)::text, true); end $$;
create function tollgate.gone() returns void language sql security definer set search_path = pg_catalog, pg_temp
  as 'delete from tollgate.usage';
grant execute on function tollgate.gone() to tollgate_member;
create function tollgate.shown() returns setof text language sql security definer set search_path = pg_catalog, pg_temp
  as 'select user_id from tollgate.usage';
grant execute on function tollgate.shown() to tollgate_member;
--> P04 tollgate.is_org_member(uuid): answers for another organization to tollgate_member
--> P04 tollgate.get_org_role(uuid): answers for another organization to tollgate_member
--> P04 tollgate.hold(uuid,text,uuid[],bigint[],bigint[],bigint[],text[],uuid[],uuid[]): answers for another organization to tollgate_login
--> P04 tollgate.gone(): changes rows of another organization for tollgate_member
--> P04 tollgate.shown(): shows rows of another organization to tollgate_member
--> and more

-- functions
create or replace function tollgate.get_org_role(p_organization_id uuid) returns text language sql stable security definer
  set search_path = pg_catalog, pg_temp as 'select tollgate.role_in(p_organization_id, tollgate.uid())';
--> P04 tollgate.get_org_role(uuid): answers for another organization to tollgate_owner
--> P04 tollgate.get_org_role(uuid): answers for another organization to tollgate_admin
--> P04 tollgate.get_org_role(uuid): answers for another organization to tollgate_member
--> P04 tollgate.get_org_role(uuid): answers for another organization to tollgate_viewer
--> P04 tollgate.get_org_role(uuid): answers for another organization to tollgate_platform
--> P04 tollgate.is_org_member(uuid): answers for another organization to tollgate_owner
--> P04 tollgate.is_org_member(uuid): answers for another organization to tollgate_admin
--> P04 tollgate.is_org_member(uuid): answers for another organization to tollgate_member
--> P04 tollgate.is_org_member(uuid): answers for another organization to tollgate_viewer
--> P04 tollgate.is_org_member(uuid): answers for another organization to tollgate_platform

-- table usage
alter policy usage_select_member on tollgate.usage using (organization_id is not null
  and (select tollgate.current_organization_id()) is not null and user_id = (select tollgate.uid()));
--> P01 usage: tollgate_member reaches 1 rows by select
--> and more

-- table settings
grant truncate on tollgate.settings to tollgate_owner;
--> P05 settings: tollgate_owner may truncate it

-- sealed
-- functions
create or replace function tollgate.enter(p_organization_id uuid, p_claims text) returns void language plpgsql
  set search_path = pg_catalog, pg_temp as $$ begin raise exception 'not now'; end $$;
create function tollgate.gone() returns void language sql security definer set search_path = pg_catalog, pg_temp
  as 'delete from tollgate.usage';
grant execute on function tollgate.gone() to tollgate_member;
create function tollgate.shown() returns setof text language sql security definer set search_path = pg_catalog, pg_temp
  as 'select user_id from tollgate.usage';
grant execute on function tollgate.shown() to tollgate_member;
--> P06 tollgate.give_back(uuid,text,uuid[]): refuses for another reason than the seal claims without a seal as tollgate_login
--> P06 tollgate.gone(): changes rows of another organization for claims without a seal as tollgate_member
--> P06 tollgate.shown(): shows another organization to claims without a seal as tollgate_member
--> and more

-- sealed
-- read only
create or replace function tollgate.current_organization_id() returns uuid language sql stable return null::uuid;
--> P06 current_organization_id(): does not take genuine claims from tollgate_owner
--> and more

-- sealed
-- read only
create or replace function tollgate.jwt() returns jsonb language sql stable
  return nullif(current_setting('request.jwt.claims', true), '')::jsonb;
--> P06 current_organization_id(): takes claims without a seal from tollgate_owner
--> and more

-- sealed
-- read only
grant select on tollgate.seal_keys to tollgate_platform;
alter table tollgate.seal_keys disable row level security;
--> C24 seal_keys: tollgate_platform reaches 1 rows by select
--> and more

-- table settings
alter policy settings_delete_mover on tollgate.settings using (organization_id = (select tollgate.current_organization_id()));
--> P07 settings: tollgate_mover reaches 1 rows by delete

-- table settings
alter policy settings_insert_mover on tollgate.settings with check (organization_id = (select tollgate.current_organization_id()));
--> P07 settings: tollgate_mover gets insert past the policies; only a constraint stops it
