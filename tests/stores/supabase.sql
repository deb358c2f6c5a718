-- A database as a managed project starts: the server's superuser is somebody else's, the project's
-- owner may make roles but not ones that go round row security, and `auth` is the provider's.
create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;
create role authenticator login noinherit;
grant anon, authenticated, service_role to authenticator;
create role supabase_auth_admin nologin noinherit createrole;
create role project_owner login createrole;
