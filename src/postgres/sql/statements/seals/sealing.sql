-- Whether claims must be sealed, which every user can read, and whether this user may become the role that reads the
-- keys. Takes no parameters.
select exists (select from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace and n.nspname = 'tollgate'
                 where p.proname = 'sealing' and p.prosrc = 'select true'),
       -- Since Postgres 16, some members of a role cannot become it.
       coalesce((select pg_has_role(current_user, oid, case when current_setting('server_version_num')::integer < 160000 then 'MEMBER' else 'SET' end)
                   from pg_catalog.pg_roles where rolname = 'tollgate_seals'), false)
