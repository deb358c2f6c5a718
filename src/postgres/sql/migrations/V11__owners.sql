-- Each function gets the owner it runs as, and callers by name.
do $owners$
declare
  wanted record;
  grantee text;
begin
  for wanted in
    select p.oid::regprocedure as signature, f.owner, f.callers
      from (values
        ('jwt', 'tollgate_migrator', 'owner admin member viewer platform ledger rls_helper'),
        ('uid', 'tollgate_migrator', 'owner admin member viewer platform ledger rls_helper'),
        ('current_organization_id', 'tollgate_migrator', 'owner admin member viewer platform ledger rls_helper'),
        ('current_org_role', 'tollgate_migrator', 'owner admin member viewer platform ledger'),
        ('is_platform', 'tollgate_migrator', 'owner admin member viewer platform ledger'),
        ('get_org_role', 'tollgate_rls_helper', 'owner admin member viewer platform ledger'),
        ('is_org_member', 'tollgate_rls_helper', 'owner admin member viewer platform ledger'),
        ('extend_partitions', 'tollgate_migrator', ''),
        ('enter', 'tollgate_ledger', ''),
        ('enter_as_platform', 'tollgate_ledger', ''),
        ('expire_holds', 'tollgate_ledger', ''),
        ('hold', 'tollgate_ledger', 'login'),
        ('give_back', 'tollgate_ledger', 'login'),
        ('expire', 'tollgate_ledger', 'login'),
        ('finish', 'tollgate_ledger', 'login'),
        ('standing', 'tollgate_ledger', 'login'),
        ('price_book', 'tollgate_ledger', 'login platform'),
        ('create_organization', 'tollgate_ledger', 'platform'),
        ('grant_credits', 'tollgate_ledger', 'platform'),
        ('reconcile', 'tollgate_ledger', 'platform')
      ) as f (name, owner, callers)
      join pg_catalog.pg_proc p on p.proname = f.name and p.pronamespace = 'tollgate'::regnamespace
  loop
    execute format('revoke all on function %s from public', wanted.signature);
    foreach grantee in array string_to_array(wanted.callers, ' ') loop
      execute format('grant execute on function %s to %I', wanted.signature, 'tollgate_' || grantee);
    end loop;
    execute format('alter function %s owner to %I', wanted.signature, wanted.owner);
  end loop;
end
$owners$;
revoke create on schema tollgate from tollgate_ledger, tollgate_rls_helper;
