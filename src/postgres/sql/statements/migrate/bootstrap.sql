-- Creates the roles and the schema: everything that needs the database's administrator, and nothing else.
-- Run by a superuser, or by a CREATEROLE user with CREATE on the database. Idempotent.
-- Takes no parameters. `tollgate_login` gets no password here: set one, or use a certificate.
do $bootstrap$
declare
  role_name text;
  attributes text;
  lack text;
  -- Since Postgres 16 each membership has options: whether it inherits, and whether the member may become the role.
  membership_has_options constant boolean := current_setting('server_version_num')::integer >= 160000;
begin
  -- Prompts, answers and claims may have any character. In another encoding, one character of an answer could make the
  -- finish of its call fail.
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
           ('tollgate_rls_helper', 'nologin'),
           ('tollgate_seals', 'nologin'),
           ('tollgate_litellm', 'nologin')
  loop
    -- Checked first, because every refused CREATE ROLE is an error in the server's log.
    if not exists (select from pg_catalog.pg_roles where rolname = role_name) then
      begin
        execute format('create role %I %s', role_name, attributes);
      exception when duplicate_object or unique_violation then
        null; -- another process has created it since the check
      end;
    end if;
  end loop;

  -- Roles that existed before may have more attributes than ours would have.
  for role_name in
    select r.rolname from pg_catalog.pg_roles r
      where r.rolname in ('tollgate_migrator', 'tollgate_login', 'tollgate_owner', 'tollgate_admin', 'tollgate_member',
                          'tollgate_viewer', 'tollgate_platform', 'tollgate_ledger', 'tollgate_mover', 'tollgate_seals', 'tollgate_litellm')
        and (r.rolsuper or r.rolbypassrls)
  loop
    raise exception 'role % goes round row security: take SUPERUSER and BYPASSRLS from it', role_name using errcode = '42501';
  end loop;
  -- A login that was created by hand inherits: it would have the rights of all people's roles at once.
  if (select rolinherit from pg_catalog.pg_roles where rolname = 'tollgate_login') then
    alter role tollgate_login noinherit;
  end if;

  -- Settings of the login's own, and what it lacks without one. A setting that is there already is the administrator's,
  -- and stays. Most of those about the log are a superuser's to make.
  for role_name, attributes, lack in
    select name, setting, loss
      from (values
              -- What a gateway sets on its connections, for connections through a pooler that does not let it.
              (array['statement_timeout=5s', 'lock_timeout=2s', 'idle_in_transaction_session_timeout=10s',
                     -- A backend whose client is gone must not go on waiting for a lock, and then commit.
                     'client_connection_check_interval=1s'],
               'through a pooler nothing bounds it'),
              -- Parameters of this login are prompts, answers and claims. A server that logs statements logs their
              -- parameters, the detail of an error may quote a row, and plans show parameters as constants.
              (array['log_parameter_max_length=0', 'log_parameter_max_length_on_error=0', 'log_error_verbosity=terse',
                     'auto_explain.log_min_duration=-1', 'pgaudit.log_parameter=off'],
               'a server that logs statements logs prompts, answers and claims')) as wanted (settings, loss)
      cross join lateral (select split_part(pair, '=', 1) as name, split_part(pair, '=', 2) as setting from unnest(settings) as pair) as one
      -- Extensions that the server has not loaded log nothing.
     where current_setting(name, true) is not null
       and not exists (select from pg_catalog.pg_db_role_setting s cross join lateral unnest(s.setconfig) as present
                         where s.setrole = 'tollgate_login'::regrole and s.setdatabase = 0 and present like name || '=%')
  loop
    begin
      -- The names are those above. That of an extension's setting has a dot, and must not be quoted as one word.
      execute format('alter role tollgate_login set %s = %L', role_name, attributes);
    exception
    when insufficient_privilege then
      raise warning 'tollgate_login has no % of its own: %', role_name, lack;
    when internal_error then
      null; -- roles belong to the cluster: a migration of another database sets it at this moment
    end;
  end loop;

  -- The helper bypasses the policies of the membership table. If the attribute cannot be granted (managed services),
  -- a policy of its own on that table lets it see the organization in the claims.
  if not (select rolbypassrls from pg_catalog.pg_roles where rolname = 'tollgate_rls_helper') then
    begin
      alter role tollgate_rls_helper bypassrls;
    exception when insufficient_privilege then
      null;
    end;
  end if;

  -- The login can become the roles of people, and no other role: never the migrator, the ledger or another owner of functions.
  for role_name in
    values ('tollgate_owner'), ('tollgate_admin'), ('tollgate_member'), ('tollgate_viewer'), ('tollgate_platform')
  loop
    if not membership_has_options then
      if not pg_catalog.pg_has_role('tollgate_login', role_name, 'MEMBER') then
        execute format('grant %I to tollgate_login', role_name);
      end if;
    elsif not pg_catalog.pg_has_role('tollgate_login', role_name, 'SET') or pg_catalog.pg_has_role('tollgate_login', role_name, 'USAGE') then
      -- A membership that was granted by hand keeps its options: it may inherit although the login does not.
      execute format('grant %I to tollgate_login with inherit false, set true', role_name);
      if pg_catalog.pg_has_role('tollgate_login', role_name, 'USAGE') then
        raise exception 'tollgate_login has the rights of % without becoming it: revoke the membership that somebody granted with inherit true',
          role_name using errcode = '42501';
      end if;
    end if;
  end loop;

  -- The migrator gives functions to the roles that own some, and becomes the role that moves organizations.
  for role_name in values ('tollgate_ledger'), ('tollgate_rls_helper'), ('tollgate_seals'), ('tollgate_litellm'), ('tollgate_mover') loop
    if not pg_catalog.pg_has_role('tollgate_migrator', role_name, 'MEMBER') then
      execute format('grant %I to tollgate_migrator', role_name);
    end if;
  end loop;

  -- The administrator becomes the migrator to migrate, and platform to operate. A superuser may do so anyway.
  if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    for role_name in values ('tollgate_migrator'), ('tollgate_platform') loop
      -- Since Postgres 16, the creator of a role is a member of it but cannot become it.
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

  -- The schema with Supabase's readers of the claims, for policies that are written for Supabase. A schema that exists
  -- already belongs to somebody else, and stays as it is.
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
