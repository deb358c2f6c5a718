-- Stand-ins for Supabase's readers of the claims, in the schema `auth` if the bootstrap created it. Their names, types
-- and results are those of Supabase, with one exception: for a `sub` that is no UUID, the id is null. In a policy it
-- then matches nobody, instead of raising an error in every statement.
do $auth$
begin
  if exists (select from pg_catalog.pg_namespace
             where nspname = 'auth' and nspowner = 'tollgate_migrator'::regrole)
    and to_regprocedure('tollgate.jwt()') is not null then
    create or replace function auth.jwt() returns jsonb language sql stable parallel safe
      return tollgate.jwt();
    create or replace function auth.uid() returns uuid language sql stable parallel safe
      return case when tollgate.jwt() ->> 'sub' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                  then (tollgate.jwt() ->> 'sub')::uuid end;
    create or replace function auth.role() returns text language sql stable parallel safe
      return tollgate.jwt() ->> 'role';
    revoke all on function auth.jwt(), auth.uid(), auth.role() from public;
    grant usage on schema auth to tollgate_owner, tollgate_admin, tollgate_member, tollgate_viewer, tollgate_platform;
    grant execute on function auth.jwt(), auth.uid(), auth.role()
      to tollgate_owner, tollgate_admin, tollgate_member, tollgate_viewer, tollgate_platform;
  end if;
end
$auth$;
