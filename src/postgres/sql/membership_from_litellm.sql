-- Reads memberships from LiteLLM's own table from now on. Takes no parameters. Run by an administrator
-- who may grant on that table; of theirs, nothing changes but who may read three columns.
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

  set local role tollgate_migrator;
  -- A string body, so that nothing of theirs depends on us: they may alter and drop what they like. Our id
  -- becomes text, and never theirs a uuid: it is a free string, and one that is no uuid would fail everybody.
  create or replace function tollgate.get_org_role(p_organization_id uuid) returns text
    language sql stable security definer set search_path = pg_catalog, pg_temp
    as $body$
      select case m.user_role when 'org_admin' then 'admin' when 'internal_user' then 'member' when 'internal_user_viewer' then 'viewer' end
        from public."LiteLLM_OrganizationMembership" m
        where m.organization_id = p_organization_id::text and m.user_id = tollgate.uid()
    $body$;
  create or replace function tollgate.membership_source() returns text language sql immutable parallel safe
    return 'litellm';
end
$litellm$;
