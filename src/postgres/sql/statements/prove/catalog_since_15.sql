-- One more check, for Postgres 15 and later: rights on settings that otherwise only a superuser may change, such as
-- session_replication_role, which turns off foreign keys. One row for each finding, as catalog.sql. No parameters.
select 'C20', case when a.grantee = 0 then 'PUBLIC' else a.grantee::regrole::text end, format('has %s on the parameter %s', a.privilege_type, p.parname)
  from pg_parameter_acl p cross join lateral aclexplode(p.paracl) a left join pg_roles r on r.oid = a.grantee
  where a.grantee = 0
    or r.rolname in ('tollgate_migrator', 'tollgate_login', 'tollgate_owner', 'tollgate_admin', 'tollgate_member', 'tollgate_viewer',
                     'tollgate_platform', 'tollgate_ledger', 'tollgate_mover', 'tollgate_rls_helper', 'tollgate_seals', 'tollgate_litellm')
  order by 1, 2, 3
