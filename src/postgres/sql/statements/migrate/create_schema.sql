-- Creates an organization's own schema if it is missing. Only this needs the database's administrator.
-- Takes no parameters.
do $schema$
begin
  if not exists (select from pg_catalog.pg_namespace where nspname = 'tollgate') then
    create schema tollgate authorization tollgate_migrator;
  end if;
end
$schema$
