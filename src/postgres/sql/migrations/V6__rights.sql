-- Who may do what: one row a role and table, from which the grants and the policies are made alike,
-- so that neither can exist without the other. One policy per operation and role; the condition is
-- an initplan, evaluated once a statement and not once a row.
do $rights$
declare
  own constant text := 'organization_id = (select tollgate.current_organization_id())';
  mine constant text := ' and user_id = (select tollgate.uid())';
  platform constant text := 'organization_id is not null and (select tollgate.is_platform())';
  wanted record;
  verb text;
  rule text;
  policy text;
begin
  for wanted in
    select * from (values
      -- table, role, verbs, columns (all if null), further condition
      ('organizations', 'owner', 'select', null, null),
      ('organizations', 'admin', 'select', null, null),
      ('organizations', 'member', 'select', null, null),
      ('organizations', 'viewer', 'select', null, null),
      ('organizations', 'platform', 'select', null, null),
      ('organizations', 'platform', 'update', 'name, suspended, time_zone', null),
      ('organizations', 'ledger', 'select insert', null, null),

      ('memberships', 'owner', 'select insert update delete', null, null),
      ('memberships', 'admin', 'select', null, mine),
      ('memberships', 'member', 'select', null, mine),
      ('memberships', 'viewer', 'select', null, mine),
      ('memberships', 'platform', 'select insert update delete', null, null),
      ('memberships', 'ledger', 'select', null, mine),
      ('memberships', 'helper', 'select', 'organization_id, user_id, role', mine),

      ('policies', 'owner', 'select insert update', null, null),
      ('policies', 'admin', 'select insert update', null, null),
      ('policies', 'member', 'select', null, null),
      ('policies', 'viewer', 'select', null, null),
      ('policies', 'platform', 'select insert update', null, null),
      ('policies', 'ledger', 'select insert', null, null),

      ('credit_balances', 'owner', 'select', null, null),
      ('credit_balances', 'platform', 'select', null, null),
      ('credit_balances', 'ledger', 'select insert update', null, null),

      ('credit_holds', 'owner', 'select', null, null),
      -- Only to see which organizations have overdue holds.
      ('credit_holds', 'platform', 'select', 'organization_id, status, expires_at', ' and status = ''open'''),
      ('credit_holds', 'ledger', 'select insert update', null, null),

      ('credit_ledger', 'owner', 'select', null, null),
      ('credit_ledger', 'ledger', 'select insert', null, null),

      ('budget_usage', 'owner', 'select', null, null),
      ('budget_usage', 'admin', 'select', null, null),
      ('budget_usage', 'member', 'select', null, null),
      ('budget_usage', 'viewer', 'select', null, null),
      ('budget_usage', 'ledger', 'select insert update', null, null),

      ('usage', 'owner', 'select', null, null),
      ('usage', 'admin', 'select', null, null),
      ('usage', 'member', 'select', null, mine),
      ('usage', 'viewer', 'select', null, null),
      ('usage', 'ledger', 'select insert', null, null),

      ('audit_events', 'owner', 'select', null, null),
      ('audit_events', 'admin', 'select', null, null),
      ('audit_events', 'member', 'select', null, mine),
      ('audit_events', 'ledger', 'select insert', null, null)
    ) as matrix (table_name, role, verbs, columns, further)
  loop
    rule := case wanted.role when 'platform' then platform else own end
      || case
           -- A wrong SET ROLE gains nothing. One's own rows need no role: whoever calls may look back.
           when wanted.role in ('owner', 'admin', 'viewer') or (wanted.role = 'member' and wanted.further is null)
             then format(' and (select tollgate.current_org_role()) = %L', wanted.role)
           else '' end
      || coalesce(wanted.further, '');
    execute format('alter table tollgate.%I enable row level security, force row level security', wanted.table_name);
    foreach verb in array string_to_array(wanted.verbs, ' ') loop
      execute format('grant %s%s on tollgate.%I to %I', verb, coalesce(' (' || wanted.columns || ')', ''), wanted.table_name,
                     case wanted.role when 'helper' then 'tollgate_rls_helper' else 'tollgate_' || wanted.role end);
      policy := format('%s_%s_%s', wanted.table_name, verb, wanted.role);
      continue when exists (select from pg_catalog.pg_policies p
                            where p.schemaname = 'tollgate' and p.tablename = wanted.table_name and p.policyname = policy);
      execute format('create policy %I on tollgate.%I for %s to %I %s %s', policy, wanted.table_name, verb,
                     case wanted.role when 'helper' then 'tollgate_rls_helper' else 'tollgate_' || wanted.role end,
                     case when verb <> 'insert' then format('using (%s)', rule) end,
                     case when verb in ('insert', 'update') then format('with check (%s)', rule) end);
    end loop;
  end loop;
end
$rights$;

-- Prices belong to nobody: every role reads those in force, the operator adds new ones.
do $prices$
declare
  role_name text;
  price_table text;
  readable text;
begin
  foreach price_table in array array['prices', 'price_tiers'] loop
    execute format('alter table tollgate.%I enable row level security, force row level security', price_table);
    foreach role_name in array array['owner', 'admin', 'member', 'viewer', 'ledger', 'platform'] loop
      readable := case
        when role_name = 'platform' then '(select tollgate.is_platform())'
        when price_table = 'prices' then 'effective_from <= now()'
        else 'price_id in (select p.price_id from tollgate.prices p where p.effective_from <= now())' end;
      execute format('grant select on tollgate.%I to %I', price_table, 'tollgate_' || role_name);
      if not exists (select from pg_catalog.pg_policies p where p.schemaname = 'tollgate'
                     and p.policyname = format('%s_select_%s', price_table, role_name)) then
        execute format('create policy %I on tollgate.%I for select to %I using (%s)',
                       format('%s_select_%s', price_table, role_name), price_table, 'tollgate_' || role_name, readable);
      end if;
    end loop;
    execute format('grant insert on tollgate.%I to tollgate_platform', price_table);
    if not exists (select from pg_catalog.pg_policies p where p.schemaname = 'tollgate'
                   and p.policyname = format('%s_insert_platform', price_table)) then
      execute format('create policy %I on tollgate.%I for insert to tollgate_platform with check ((select tollgate.is_platform()))',
                     format('%s_insert_platform', price_table), price_table);
    end if;
  end loop;
end
$prices$;
