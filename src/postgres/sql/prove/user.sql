-- Whether this user sees past row security, may become the migrator, and which of the named roles it may become.
-- $1 names of roles
select (select rolsuper or rolbypassrls from pg_roles where rolname = current_user),
       coalesce((select pg_has_role(current_user, oid, 'MEMBER') from pg_roles where rolname = 'tollgate_migrator'), false),
       array(select rolname::text from pg_roles where rolname = any ($1) and pg_has_role(current_user, oid, 'MEMBER')),
       current_user::text, current_setting('server_version_num')::integer
