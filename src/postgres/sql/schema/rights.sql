-- Who may do what: two lists, which `tollgate migrate` brings into force each time it runs.
--
-- The first list is about tables: table, roles, verbs, columns (null: all of them) and a condition. Each line gives the
-- right and makes the policy of that table, verb and role, so that neither exists without the other. The second list is
-- about functions: name, owner and callers.
--
-- Conditions call functions in sub-selects, which are evaluated once for each statement. A bare stable function would
-- be evaluated once for each partition, and for each row where it is no index condition: `cargo bench --bench rls` then
-- rises from 1.6 to 6 times the cost of no row security, and more where claims are sealed.
--
-- Rights and policies of our roles and of PUBLIC that no line names are revoked. What an administrator has given
-- to other roles stays. Nothing is locked where the lists and the catalog agree. Runs as tollgate_migrator, in the
-- transaction that creates the functions. Takes no parameters.
grant usage on schema tollgate to tollgate_login, tollgate_owner, tollgate_admin, tollgate_member, tollgate_viewer,
  tollgate_platform, tollgate_ledger, tollgate_mover, tollgate_rls_helper, tollgate_seals;

do $tables$
declare
  -- Conditions beyond the organization and the role in the claims, which every policy compares.
  mine constant text := 'user_id = (select tollgate.uid())';
  away constant text := '(select tollgate.is_away())';
  in_force constant text := 'effective_from <= now()';
  -- All columns of a key except its digest, which nobody needs to see.
  of_key constant text := 'organization_id, key_id, name, user_id, team_id, role, created_at, created_by, expires_at, revoked_at';
  of_invitation constant text :=
    'organization_id, invitation_id, email, role, invited_by, created_at, expires_at, accepted_at, accepted_by, revoked_at';
  listed constant jsonb := (select jsonb_agg(to_jsonb(line)) from (values
    ('organizations', 'owner admin member viewer ledger platform', 'select', null, null),
    ('organizations', 'platform', 'update', 'name, suspended, time_zone, suspended_reason', null),
    ('organizations', 'ledger', 'insert', null, null),
    ('organizations', 'mover', 'update', null, null),

    ('memberships', 'owner platform', 'select insert update delete', null, null),
    ('memberships', 'admin member viewer ledger', 'select', null, mine),
    ('memberships', 'helper', 'select', 'organization_id, user_id, role', mine),

    ('policies', 'owner admin platform', 'select insert update', null, null),
    ('policies', 'ledger', 'select insert', null, null),
    ('policies', 'member viewer', 'select', null, null),

    ('settings', 'owner admin', 'select insert update delete', null, null),
    ('settings', 'member viewer', 'select', null, null),

    -- The owner sees who looked. Nobody writes a grant by hand: a function will, together with its audit record, as
    -- tollgate_ledger. All it may change afterwards is the end.
    ('break_glass_grants', 'owner platform', 'select', null, null),
    ('break_glass_grants', 'ledger', 'select insert', null, null),
    ('break_glass_grants', 'ledger', 'update', 'revoked_at', null),

    ('teams', 'owner', 'select insert update delete', null, null),
    ('teams', 'admin', 'select insert update', null, null),
    ('teams', 'member viewer', 'select', null, null),

    ('team_memberships', 'owner', 'select insert update delete', null, null),
    ('team_memberships', 'admin', 'select', null, null),
    ('team_memberships', 'member viewer', 'select', null, mine),

    -- An invitation is created or revoked. Nothing else of it changes.
    ('invitations', 'owner', 'select', of_invitation, null),
    ('invitations', 'owner', 'insert', null, null),
    ('invitations', 'owner', 'update', 'revoked_at', null),

    -- A key may be renamed or revoked. What it may do, and for which user, never changes. An admin cannot create an
    -- owner's key, which would be a way to become an owner.
    ('api_keys', 'owner admin', 'select', of_key, null),
    ('api_keys', 'member', 'select', of_key, mine),
    ('api_keys', 'owner', 'insert', null, null),
    ('api_keys', 'admin', 'insert', null, 'role <> ''owner'''),
    ('api_keys', 'owner admin', 'update', 'name, revoked_at', null),

    ('seal_keys', 'seals', 'select', null, 'key_id is not null'),
    ('seal_keys', 'migrator', 'insert delete', null, 'key_id is not null'),

    -- Every role reads the list prices that are in force. The operator reads all of them and adds new ones.
    ('prices', 'owner admin member viewer ledger', 'select', null, in_force),
    ('price_tiers', 'owner admin member viewer ledger', 'select', null, in_force),
    ('prices', 'platform', 'select insert', null, '(select tollgate.is_platform())'),
    ('price_tiers', 'platform', 'select insert', null, '(select tollgate.is_platform())'),
    -- The operator agrees on prices. Of the organization's people only the owners, who pay, read them.
    ('price_overrides', 'owner ledger', 'select', null, null),
    ('price_overrides', 'platform', 'select insert', null, null),
    ('price_override_tiers', 'owner ledger', 'select', null, null),
    ('price_override_tiers', 'platform', 'select insert', null, null),
    ('price_markups', 'owner ledger', 'select', null, null),
    ('price_markups', 'platform', 'select insert', null, null),

    ('credit_balances', 'owner platform', 'select', null, null),
    ('credit_balances', 'ledger', 'select insert update', null, null),
    ('credit_holds', 'owner', 'select', null, null),
    -- Only to see which organizations have overdue holds.
    ('credit_holds', 'platform', 'select', 'organization_id, status, expires_at', 'status = ''open'''),
    ('credit_holds', 'ledger', 'select insert update', null, null),
    ('credit_ledger', 'owner', 'select', null, null),
    ('credit_ledger', 'ledger', 'select insert', null, null),

    -- A budget is money: owners and the operator set it, everybody who calls may read it.
    ('budgets', 'owner platform', 'select insert update delete', null, null),
    ('budgets', 'admin member viewer ledger', 'select', null, null),
    ('budget_usage', 'owner admin member viewer platform', 'select', null, null),
    ('budget_usage', 'ledger', 'select insert update', null, null),
    ('budget_events', 'owner admin viewer platform', 'select', null, null),
    ('budget_events', 'ledger', 'select insert', null, null),

    ('model_policies', 'owner admin', 'select insert update delete', null, null),
    ('model_policies', 'member viewer', 'select', null, null),
    ('rate_limits', 'owner admin platform', 'select insert update delete', null, null),
    ('rate_limits', 'member viewer ledger', 'select', null, null),
    -- An organization stops itself, its teams, people and keys without anybody's help. Who is stopped turns no switch.
    ('kill_switches', 'owner admin platform', 'select insert delete', null, null),
    ('kill_switches', 'member viewer ledger', 'select', null, null),

    -- Credentials and routes tell how an organization stands with its providers: not for every member.
    ('provider_credentials', 'owner admin', 'select insert update delete', null, null),
    ('model_routes', 'owner admin', 'select insert update delete', null, null),
    ('guardrails', 'owner admin', 'select insert update delete', null, null),
    ('guardrails', 'viewer', 'select', null, null),
    ('prompt_templates', 'owner admin', 'select insert update delete', null, null),
    ('prompt_templates', 'member viewer', 'select', null, null),
    ('prompt_versions', 'owner admin', 'select insert', null, null),
    ('prompt_versions', 'member viewer', 'select', null, null),
    ('prompt_versions_live', 'owner admin', 'select insert update delete', null, null),
    ('prompt_versions_live', 'member viewer', 'select', null, null),

    ('usage', 'owner admin viewer', 'select', null, null),
    ('usage', 'member', 'select', null, mine),
    ('usage', 'ledger', 'select insert', null, null),
    ('audit_events', 'owner admin', 'select', null, null),
    ('audit_events', 'member', 'select', null, mine),
    ('audit_events', 'ledger', 'select insert', null, null),
    ('usage_daily', 'owner admin viewer', 'select', null, null),
    ('usage_daily', 'member', 'select', null, 'scope = ''user'' and scope_id = (select tollgate.uid())'),
    -- The operator sees an organization's totals, and not whose they are.
    ('usage_daily', 'platform', 'select', null, 'scope = ''organization'''),
    ('usage_daily', 'ledger', 'select insert update', null, null),
    -- Written once, by the functions that chain and sign, and never changed.
    ('audit_chain', 'owner admin', 'select', null, null),
    ('audit_chain', 'ledger', 'select insert', null, null),
    ('audit_checkpoints', 'owner admin', 'select', null, null),
    ('audit_checkpoints', 'ledger', 'select insert', null, null),

    -- Which steps the database has. The gateway reads them for its readiness, and a migration adds to them.
    ('schema_history', 'login migrator', 'select', null, 'version is not null'),
    ('schema_history', 'migrator', 'insert', null, 'version is not null')
  ) as line (relation, roles, verbs, columns, condition));
  -- Tables that belong to no organization: their condition is the whole rule.
  without_organization constant text[] := array['seal_keys', 'prices', 'price_tiers', 'schema_history'];
  ours constant text[] := array['tollgate_migrator', 'tollgate_login', 'tollgate_owner', 'tollgate_admin', 'tollgate_member', 'tollgate_viewer',
                                'tollgate_platform', 'tollgate_ledger', 'tollgate_mover', 'tollgate_rls_helper', 'tollgate_seals', 'tollgate_litellm'];
  wanted jsonb;
  relation_name text;
  statement text;
begin
  with
  line as (
    select l.relation, role, verb, l.columns, l.condition
      from jsonb_to_recordset(listed) as l (relation text, roles text, verbs text, columns text, condition text)
      cross join lateral unnest(string_to_array(l.roles, ' ')) as role
      cross join lateral unnest(string_to_array(l.verbs, ' ')) as verb
    union all
    -- A move copies every table that has organizations: it reads all rows of the claims' organization, and adds or
    -- deletes them only where they are not in use. Found in the catalog, so that a new table is moved, too.
    select c.relname::text, 'mover', verb, null, case when verb <> 'select' then away end
      from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'organization_id' and not a.attisdropped
      cross join unnest(array['select', 'insert', 'delete']) as verb
      where c.relnamespace = 'tollgate'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
  )
  select jsonb_agg(jsonb_build_object(
           'relation', relation, 'verb', verb, 'columns', columns, 'policy', format('%s_%s_%s', relation, verb, role),
           'role', case role when 'helper' then 'tollgate_rls_helper' else 'tollgate_' || role end,
           'rule', case when relation = any (without_organization) then condition else
             case role
               -- The column is named, so that the catalog shows that the policy reads it.
               when 'platform' then 'organization_id is not null and (select tollgate.is_platform())'
               -- The ledger's functions verify the claims when they put them into force, once for all their statements.
               when 'ledger' then 'organization_id = (select tollgate.entered_organization_id())'
               else 'organization_id = (select tollgate.current_organization_id())' end
             -- The claims must have the role, too: a wrong SET ROLE gains nothing. Callers read their own rows in any
             -- role.
             || case when role in ('owner', 'admin', 'viewer') or (role = 'member' and condition is null)
                  then format(' and (select tollgate.current_org_role()) = %L', role) else '' end
             -- Who is stopped does not lift the stop, nor go round it by a new key, another limit or another team.
             || case when role in ('owner', 'admin') and verb <> 'select' then ' and not (select tollgate.is_stopped())' else '' end
             || coalesce(' and ' || condition, '') end))
    into wanted from line;

  for statement in
    with
    wanted_right as (
      select w.relation, w.role, w.verb, coalesce(c, '') as column_name
        from jsonb_to_recordset(wanted) as w (relation text, role text, verb text, columns text)
        left join lateral regexp_split_to_table(w.columns, ', ') as c on true
        -- A table's owner needs no grant; forced row security binds the owner all the same.
        where w.role <> (select c.relowner::regrole::text from pg_class c
                           where c.relnamespace = 'tollgate'::regnamespace and c.relname = w.relation)),
    relation as (
      select c.* from pg_class c
        where c.relnamespace = 'tollgate'::regnamespace and c.relname in (select w.relation from wanted_right w)),
    held as (
      select c.relname::text as relation, lower(a.privilege_type) as verb, '' as column_name, a.grantee, a.is_grantable
        from relation c cross join lateral aclexplode(c.relacl) a where a.grantee <> c.relowner
      union all
      select c.relname::text, lower(a.privilege_type), t.attname::text, a.grantee, a.is_grantable
        from relation c join pg_attribute t on t.attrelid = c.oid cross join lateral aclexplode(t.attacl) a where a.grantee <> c.relowner),
    held_right as (
      select h.*, case when h.grantee = 0 then 'public' else h.grantee::regrole::text end as role from held h
        where h.grantee = 0 or h.grantee::regrole::text = any (ours))
    select format(case when h.relation is null then 'grant %s%s on tollgate.%I to %s'
                       when w.relation is null then 'revoke %s%s on tollgate.%I from %s'
                       else 'revoke grant option for %s%s on tollgate.%I from %s' end,
                  coalesce(w.verb, h.verb), case when coalesce(w.column_name, h.column_name) <> '' then format(' (%I)', coalesce(w.column_name, h.column_name)) else '' end,
                  coalesce(w.relation, h.relation), coalesce(w.role, h.role))
      from wanted_right w
      full join held_right h on (h.relation, h.role, h.verb, h.column_name) = (w.relation, w.role, w.verb, w.column_name)
      where w.relation is null or h.relation is null or h.is_grantable
  loop
    execute statement;
  end loop;

  -- A policy is compared with the one that its line makes on an empty table of the same columns.
  for relation_name in select distinct w.relation from jsonb_to_recordset(wanted) as w (relation text) order by 1 loop
    execute format('create table tollgate.compared (like tollgate.%I)', relation_name);
    for statement in
      select format('create policy %I on tollgate.compared for %s to %I %s %s', w.policy, w.verb, w.role,
                    case when w.verb <> 'insert' then format('using (%s)', w.rule) end,
                    case when w.verb in ('insert', 'update') then format('with check (%s)', w.rule) end)
        from jsonb_to_recordset(wanted) as w (relation text, role text, verb text, policy text, rule text)
        where w.relation = relation_name
    loop
      execute statement;
    end loop;
    for statement in
      with
      policy as (
        select p.*, pg_get_expr(p.polqual, p.polrelid) as used, pg_get_expr(p.polwithcheck, p.polrelid) as checked,
               p.polrelid = to_regclass('tollgate.compared') as declared
          from pg_policy p
          where p.polrelid in (to_regclass('tollgate.compared'), to_regclass(format('tollgate.%I', relation_name)))
            -- A restrictive policy, or one for another role, is the administrator's.
            and p.polpermissive and (p.polroles && array(select r.oid from pg_roles r where r.rolname = any (ours)) or p.polroles = '{0}')),
      difference as (
        select d.polname as missing, f.polname as found
          from (select * from policy where declared) d
          full join (select * from policy where not declared) f on f.polname = d.polname
          where (d.polcmd, d.polroles, d.used, d.checked) is distinct from (f.polcmd, f.polroles, f.used, f.checked))
      select s.statement
        from difference d
        left join jsonb_to_recordset(wanted) as w (relation text, role text, verb text, policy text, rule text)
          on w.relation = relation_name and w.policy = d.missing
        cross join lateral (values
          (1, case when d.found is not null then format('drop policy %I on tollgate.%I', d.found, relation_name) end),
          (2, case when d.missing is not null then
                format('create policy %I on tollgate.%I for %s to %I %s %s', w.policy, relation_name, w.verb, w.role,
                       case when w.verb <> 'insert' then format('using (%s)', w.rule) end,
                       case when w.verb in ('insert', 'update') then format('with check (%s)', w.rule) end) end)) as s (n, statement)
        where s.statement is not null
        order by s.n
    loop
      execute statement;
    end loop;
    drop table tollgate.compared;
    -- After the policies exist. Our steps do not create the history table, because it is the history of the steps.
    if exists (select from pg_class c where c.oid = to_regclass(format('tollgate.%I', relation_name)) and not (c.relrowsecurity and c.relforcerowsecurity)) then
      execute format('alter table tollgate.%I enable row level security, force row level security', relation_name);
    end if;
  end loop;
end
$tables$;

do $functions$
declare
  listed constant jsonb := (select jsonb_agg(to_jsonb(line)) from (values
    -- Functions that policies call.
    ('jwt', 'migrator', 'owner admin member viewer platform ledger mover helper'),
    ('verified', 'migrator', 'owner admin member viewer platform ledger mover helper'),
    ('uid', 'migrator', 'owner admin member viewer platform ledger helper'),
    ('current_organization_id', 'migrator', 'owner admin member viewer platform ledger mover helper'),
    ('current_org_role', 'migrator', 'owner admin member viewer platform ledger'),
    ('is_platform', 'migrator', 'owner admin member viewer platform ledger'),
    ('is_stopped', 'migrator', 'owner admin'),
    ('entered_organization_id', 'migrator', 'ledger'),
    ('is_away', 'migrator', 'mover'),
    -- Functions that bypass row security, as the one role that may read memberships.
    ('get_org_role', 'helper', 'owner admin member viewer platform ledger'),
    ('is_org_member', 'helper', 'owner admin member viewer platform ledger'),
    ('check_membership', 'helper', 'login'),
    ('role_in', 'helper', ''),
    ('membership_source', 'migrator', 'helper'),
    ('membership_owner', 'migrator', 'helper'),
    -- LiteLLM's table is read by a role that may do nothing else, and looked at before and after.
    ('role_by_litellm', 'litellm', 'helper'),
    ('litellm_problem', 'migrator', 'helper'),
    -- Seals are verified by the one role that may read their keys, and that may do nothing else.
    ('unsealed', 'seals', 'owner admin member viewer platform ledger mover helper'),
    ('check_sealing', 'seals', 'login'),
    ('sealing', 'migrator', 'seals'),
    -- Statements of the gateway. They put the claims into force themselves, and row security binds their owner to them.
    ('hold', 'ledger', 'login'),
    ('renew', 'ledger', 'login'),
    ('give_back', 'ledger', 'login'),
    ('finish', 'ledger', 'login'),
    ('expire', 'ledger', 'login'),
    ('standing', 'ledger', 'login'),
    ('agreement', 'ledger', 'login platform'),
    ('price_book', 'ledger', 'login platform'),
    -- Statements of the operator.
    ('create_organization', 'ledger', 'platform'),
    ('grant_credits', 'ledger', 'platform'),
    ('reconcile', 'ledger', 'platform'),
    ('check_prices', 'ledger', 'platform'),
    ('models_called', 'ledger', 'platform'),
    ('settled_calls', 'ledger', 'platform'),
    ('account_window_as_platform', 'ledger', 'platform'),
    ('account_lines_as_platform', 'ledger', 'platform'),
    ('import_prices', 'migrator', 'platform'),
    -- Statements of an organization's own people, with the rights of the caller.
    ('moment', 'migrator', 'owner platform ledger'),
    ('arrived_at', 'migrator', 'owner ledger'),
    ('ledger_seq_before', 'migrator', 'owner ledger'),
    ('account_window', 'migrator', 'owner ledger'),
    ('account_lines', 'migrator', 'owner ledger'),
    ('stay', 'ledger', 'owner admin member viewer platform'),
    -- Parts of the functions above.
    ('enter', 'ledger', ''),
    ('enter_as_platform', 'ledger', ''),
    ('still_here', 'ledger', ''),
    ('budgets_of', 'ledger', ''),
    ('window_of', 'ledger', ''),
    ('end_in_windows', 'ledger', ''),
    ('expire_holds', 'ledger', ''),
    -- Moving an organization.
    ('movable', 'migrator', 'mover'),
    ('key_columns', 'migrator', 'mover'),
    ('key_list', 'migrator', 'mover'),
    ('key_values', 'migrator', 'mover'),
    ('key_range', 'migrator', 'mover'),
    ('move_keys', 'migrator', 'mover'),
    ('move_marks', 'migrator', 'mover'),
    ('move_out', 'migrator', 'mover'),
    ('move_in', 'migrator', 'mover'),
    ('move_clear', 'migrator', 'mover'),
    ('move_self_out', 'migrator', 'mover'),
    ('move_self_in', 'migrator', 'mover'),
    ('rows_here', 'migrator', 'mover'),
    ('extend_partitions', 'migrator', '')
  ) as line (name, owner, callers));
  ours constant text[] := array['tollgate_migrator', 'tollgate_login', 'tollgate_owner', 'tollgate_admin', 'tollgate_member', 'tollgate_viewer',
                                'tollgate_platform', 'tollgate_ledger', 'tollgate_mover', 'tollgate_rls_helper', 'tollgate_seals', 'tollgate_litellm'];
  handed_over constant text := (
    select string_agg(format('alter function %s owner to %I', p.oid::regprocedure, o.rolname), '; ')
      from jsonb_to_recordset(listed) as l (name text, owner text)
      join pg_proc p on p.proname = l.name and p.pronamespace = 'tollgate'::regnamespace
      join pg_roles o on o.rolname = case l.owner when 'helper' then 'tollgate_rls_helper' else 'tollgate_' || l.owner end
      where p.proowner <> o.oid);
  statement text;
begin
  if handed_over is not null then
    -- Only a role that may create in the schema can be given a function in it.
    grant create on schema tollgate to tollgate_ledger, tollgate_rls_helper, tollgate_seals, tollgate_litellm;
    execute handed_over;
    revoke create on schema tollgate from tollgate_ledger, tollgate_rls_helper, tollgate_seals, tollgate_litellm;
  end if;

  for statement in
    with
    wanted as (
      select p.oid, case role when 'helper' then 'tollgate_rls_helper' else 'tollgate_' || role end as role
        from jsonb_to_recordset(listed) as l (name text, callers text)
        join pg_proc p on p.proname = l.name and p.pronamespace = 'tollgate'::regnamespace
        cross join lateral unnest(string_to_array(l.callers, ' ')) as role),
    held as (
      select p.oid, case when a.grantee = 0 then 'public' else a.grantee::regrole::text end as role, a.is_grantable
        from jsonb_to_recordset(listed) as l (name text)
        join pg_proc p on p.proname = l.name and p.pronamespace = 'tollgate'::regnamespace
        cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
        where a.grantee <> p.proowner and (a.grantee = 0 or a.grantee::regrole::text = any (ours)))
    select format(case when h.oid is null then 'grant execute on function %s to %s'
                       when w.oid is null then 'revoke all on function %s from %s'
                       else 'revoke grant option for execute on function %s from %s' end,
                  coalesce(w.oid, h.oid)::regprocedure, coalesce(w.role, h.role))
      from wanted w full join held h on (h.oid, h.role) = (w.oid, w.role)
      where w.oid is null or h.oid is null or h.is_grantable
  loop
    execute statement;
  end loop;
end
$functions$;
