-- Gives the login the password that the session keeps. A password that the login has already stays.
-- Needs the right to read and change roles. Takes no parameters.
do $$
begin
  if exists (select from pg_catalog.pg_authid where rolname = 'tollgate_login' and rolpassword is null) then
    execute format('alter role tollgate_login password %L', current_setting('tollgate.first_password'));
  end if;
end $$
