-- Lets tollgate_litellm, which may do nothing else, read three columns of LiteLLM's table of memberships; of LiteLLM's,
-- nothing else changes. The table's owner is remembered. Run by an administrator who may grant on that table, before
-- the functions that read it. Takes no parameters.
do $litellm$
declare
  theirs constant regclass := to_regclass('public."LiteLLM_OrganizationMembership"');
  wanted constant text[] := array['user_id', 'organization_id', 'user_role'];
  owner constant text := (select pg_catalog.pg_get_userbyid(relowner) from pg_catalog.pg_class where oid = theirs);
  readable boolean;
begin
  if (select count(*) from pg_catalog.pg_attribute a
        where a.attrelid = theirs and a.attname = any (wanted) and not a.attisdropped
          and a.atttypid in ('text'::regtype, 'varchar'::regtype)) <> cardinality(wanted) then
    raise exception 'there is no table public."LiteLLM_OrganizationMembership" with the text columns user_id, organization_id and user_role: let LiteLLM make its tables first'
      using errcode = 'TG412';
  end if;
  if owner ~ '^tollgate_' then
    raise exception 'public."LiteLLM_OrganizationMembership" belongs to %: let it belong to the user of LiteLLM', owner
      using errcode = 'TG412';
  end if;

  if not has_schema_privilege('tollgate_litellm', 'public', 'USAGE') then
    grant usage on schema public to tollgate_litellm;
  end if;
  select bool_and(has_column_privilege('tollgate_litellm', theirs, name, 'SELECT')) into readable
    from unnest(wanted) as name;
  if not readable then
    grant select (user_id, organization_id, user_role) on public."LiteLLM_OrganizationMembership" to tollgate_litellm;
  end if;
  perform set_config('litellm.owner', owner, true);
end
$litellm$;
set local role tollgate_migrator
