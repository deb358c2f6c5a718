-- One more protection for an organization's own schema: its tables take no row of another organization, whatever role
-- writes it. Run after every migration, as tollgate_migrator. The schema's name has the organization's id. Takes no
-- parameters.
do $wall$
declare
  own constant uuid := (select substr(nspname, 10)::uuid from pg_catalog.pg_namespace where oid = 'tollgate'::regnamespace);
  t record;
begin
  -- A function, so that a proof can replace it in its own transaction and insert invented rows, without a lock.
  execute format('create or replace function tollgate.only_organization() returns uuid language sql immutable parallel safe return %L::uuid', own);
  revoke all on function tollgate.only_organization() from public;
  grant execute on function tollgate.only_organization()
    to tollgate_owner, tollgate_admin, tollgate_member, tollgate_viewer, tollgate_platform, tollgate_ledger, tollgate_mover;
  for t in
    select c.relname::text as name from pg_catalog.pg_class c join pg_catalog.pg_attribute a on a.attrelid = c.oid
      where c.relnamespace = 'tollgate'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
        and a.attname = 'organization_id' and not a.attisdropped
        and not exists (select from pg_catalog.pg_constraint k where k.conrelid = c.oid and k.conname = 'only_organization')
  loop
    execute format('alter table tollgate.%I add constraint only_organization check (organization_id = tollgate.only_organization())', t.name);
  end loop;
end
$wall$
