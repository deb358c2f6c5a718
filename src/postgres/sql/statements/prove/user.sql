-- Whether this user bypasses row security, whether it may become the migrator, and which of the named roles it may
-- become. Since Postgres 16, some members of a role cannot become it.
-- $1 names of roles
with become as (select case when current_setting('server_version_num')::integer < 160000 then 'MEMBER' else 'SET' end as word)
select (select rolsuper or rolbypassrls from pg_roles where rolname = current_user),
       coalesce((select pg_has_role(current_user, oid, word) from pg_roles, become where rolname = 'tollgate_migrator'), false),
       array(select rolname::text from pg_roles, become where rolname = any ($1) and pg_has_role(current_user, oid, word)),
       current_user::text, current_setting('server_version_num')::integer
