-- Takes back the right to read LiteLLM's table of memberships, where it was given. Run by the administrator who gave
-- it, before the functions that read our own table. Takes no parameters.
do $litellm$
begin
  if exists (select from pg_catalog.pg_attribute a cross join lateral aclexplode(a.attacl) as g
               where a.attrelid = to_regclass('public."LiteLLM_OrganizationMembership"')
                 and g.grantee = 'tollgate_litellm'::regrole) then
    revoke select (user_id, organization_id, user_role) on public."LiteLLM_OrganizationMembership" from tollgate_litellm;
  end if;
end
$litellm$;
set local role tollgate_migrator
