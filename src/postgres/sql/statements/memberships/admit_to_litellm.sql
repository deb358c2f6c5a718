-- Lets tollgate_rls_helper read three columns of LiteLLM's table of memberships; of LiteLLM's, nothing else changes.
-- Run by an administrator who may grant on that table, before the functions that read it. Takes no parameters.
do $litellm$
declare
  theirs constant regclass := to_regclass('public."LiteLLM_OrganizationMembership"');
  wanted constant text[] := array['user_id', 'organization_id', 'user_role'];
  readable boolean;
begin
  if (select count(*) from pg_catalog.pg_attribute a
        where a.attrelid = theirs and a.attname = any (wanted) and not a.attisdropped
          and a.atttypid in ('text'::regtype, 'varchar'::regtype)) <> cardinality(wanted) then
    raise exception 'there is no table public."LiteLLM_OrganizationMembership" with the text columns user_id, organization_id and user_role: let LiteLLM make its tables first'
      using errcode = 'TG412';
  end if;

  if not has_schema_privilege('tollgate_rls_helper', 'public', 'USAGE') then
    grant usage on schema public to tollgate_rls_helper;
  end if;
  select bool_and(has_column_privilege('tollgate_rls_helper', theirs, name, 'SELECT')) into readable
    from unnest(wanted) as name;
  if not readable then
    grant select (user_id, organization_id, user_role) on public."LiteLLM_OrganizationMembership" to tollgate_rls_helper;
  end if;
end
$litellm$;
set local role tollgate_migrator
