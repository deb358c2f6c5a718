-- Roles and the schema: everything that needs the database's administrator, and nothing else.
-- Run by a superuser, or by a CREATEROLE user with CREATE on the database; as often as one likes.
-- Takes no parameters. `tollgate_login` gets no password here: set one, or use a certificate.
do $bootstrap$
declare
  role_name text;
  attributes text;
  -- From 16 on it is the membership that says whether it inherits and whether the member may become the role.
  membership_has_options constant boolean := current_setting('server_version_num')::integer >= 160000;
begin
  -- Prompts, answers and claims are any text there is: elsewhere the end of a call could be refused for
  -- a character of its answer.
  if current_setting('server_encoding') <> 'UTF8' then
    raise exception 'the encoding of this database is %, and must be UTF8', current_setting('server_encoding')
      using errcode = '22023';
  end if;

  for role_name, attributes in
    values ('tollgate_migrator', 'nologin'),
           ('tollgate_login', 'login noinherit'),
           ('tollgate_owner', 'nologin'),
           ('tollgate_admin', 'nologin'),
           ('tollgate_member', 'nologin'),
           ('tollgate_viewer', 'nologin'),
           ('tollgate_platform', 'nologin'),
           ('tollgate_ledger', 'nologin'),
           ('tollgate_mover', 'nologin'),
           ('tollgate_rls_helper', 'nologin')
  loop
    -- Asked first, because a refused CREATE ROLE is an error in the server's log every time.
    if not exists (select from pg_catalog.pg_roles where rolname = role_name) then
      begin
        execute format('create role %I %s', role_name, attributes);
      exception when duplicate_object or unique_violation then
        null; -- another process made it between the question and the statement
      end;
    end if;
  end loop;

  -- Roles that were there before may be more than ours would be.
  for role_name in
    select r.rolname from pg_catalog.pg_roles r
      where r.rolname in ('tollgate_migrator', 'tollgate_login', 'tollgate_owner', 'tollgate_admin', 'tollgate_member',
                          'tollgate_viewer', 'tollgate_platform', 'tollgate_ledger', 'tollgate_mover')
        and (r.rolsuper or r.rolbypassrls)
  loop
    raise exception 'role % goes round row security: take SUPERUSER and BYPASSRLS from it', role_name using errcode = '42501';
  end loop;
  -- Made by hand, a login inherits: it would have the rights of all people's roles at once, unasked.
  if (select rolinherit from pg_catalog.pg_roles where rolname = 'tollgate_login') then
    alter role tollgate_login noinherit;
  end if;

  -- What a gateway asks for on each of its connections, for those on which a pooler does not let it ask. What
  -- is set there already is the administrator's own.
  for role_name, attributes in
    values ('statement_timeout', '5s'), ('lock_timeout', '2s'), ('idle_in_transaction_session_timeout', '10s'),
           -- A backend whose client is gone must not go on waiting for a lock, and then commit.
           ('client_connection_check_interval', '1s')
  loop
    if not exists (select from pg_catalog.pg_db_role_setting s cross join lateral unnest(s.setconfig) as setting
                     where s.setrole = 'tollgate_login'::regrole and s.setdatabase = 0 and setting like role_name || '=%') then
      begin
        execute format('alter role tollgate_login set %I = %L', role_name, attributes);
      exception
      when insufficient_privilege then
        raise warning 'tollgate_login has no % of its own: through a pooler nothing bounds it', role_name;
      when internal_error then
        null; -- the role is the cluster's: a migration of another database sets it at this moment
      end;
    end if;
  end loop;

  -- The helper reads the membership table past its policies. Where the attribute cannot be granted
  -- (managed services), its own policy on that table lets it see the organization in the claims.
  if not (select rolbypassrls from pg_catalog.pg_roles where rolname = 'tollgate_rls_helper') then
    begin
      alter role tollgate_rls_helper bypassrls;
    exception when insufficient_privilege then
      null;
    end;
  end if;

  -- The login can become what a person may be, and no more: never the migrator, ledger or helper.
  for role_name in
    values ('tollgate_owner'), ('tollgate_admin'), ('tollgate_member'), ('tollgate_viewer'), ('tollgate_platform')
  loop
    if not membership_has_options then
      if not pg_catalog.pg_has_role('tollgate_login', role_name, 'MEMBER') then
        execute format('grant %I to tollgate_login', role_name);
      end if;
    elsif not pg_catalog.pg_has_role('tollgate_login', role_name, 'SET') or pg_catalog.pg_has_role('tollgate_login', role_name, 'USAGE') then
      -- A membership made by hand keeps what it was made with: it may inherit though the login does not.
      execute format('grant %I to tollgate_login with inherit false, set true', role_name);
      if pg_catalog.pg_has_role('tollgate_login', role_name, 'USAGE') then
        raise exception 'tollgate_login has the rights of % without becoming it: revoke the membership that somebody granted with inherit true',
          role_name using errcode = '42501';
      end if;
    end if;
  end loop;

  -- The migrator hands functions over to the two roles that own some, and becomes the one that moves organizations.
  for role_name in values ('tollgate_ledger'), ('tollgate_rls_helper'), ('tollgate_mover') loop
    if not pg_catalog.pg_has_role('tollgate_migrator', role_name, 'MEMBER') then
      execute format('grant %I to tollgate_migrator', role_name);
    end if;
  end loop;

  -- The administrator becomes the migrator to migrate, and platform to operate. A superuser may anyway.
  if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    for role_name in values ('tollgate_migrator'), ('tollgate_platform') loop
      -- There, who makes a role is its member without being able to become it.
      if not pg_catalog.pg_has_role(current_user, role_name, case when membership_has_options then 'SET' else 'MEMBER' end) then
        execute format('grant %I to current_user', role_name);
      end if;
    end loop;
  end if;

  if not exists (select from pg_catalog.pg_namespace where nspname = 'tollgate') then
    begin
      create schema tollgate authorization tollgate_migrator;
    exception when duplicate_schema or unique_violation then
      null;
    end;
  end if;

  -- Where Supabase's readers of the claims are, for policies that are written as for Supabase. Where
  -- the schema is there it is somebody's, and stays as it is.
  if not exists (select from pg_catalog.pg_namespace where nspname = 'auth')
    and has_database_privilege(current_database(), 'CREATE') then
    begin
      create schema auth authorization tollgate_migrator;
    exception when duplicate_schema or unique_violation then
      null;
    end;
  end if;
end
$bootstrap$;
