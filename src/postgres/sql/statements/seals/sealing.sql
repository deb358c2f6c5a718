-- Whether claims must be sealed, as everybody can read it; and whether this user may become who reads the keys.
-- Takes no parameters.
select exists (select from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace and n.nspname = 'tollgate'
                 where p.proname = 'sealing' and p.prosrc = 'select true'),
       -- From 16 on, a member is not always one that can become it.
       coalesce((select pg_has_role(current_user, oid, case when current_setting('server_version_num')::integer < 160000 then 'MEMBER' else 'SET' end)
                   from pg_catalog.pg_roles where rolname = 'tollgate_rls_helper'), false)
