-- Memberships from LiteLLM's table. membership_tollgate.sql has the same two functions for our own table; one of the
-- two files is in force. Takes no parameters.

-- The role of the claims' person in an organization. Runs as the one role that may read memberships past the policies,
-- which call this function.
--
-- The body is a string, which is not bound to LiteLLM's table: LiteLLM can alter and drop that table. The body is not
-- checked either, because a migration must not fail if the table was dropped. A gateway calls `check_membership` when
-- it starts. Ids are compared as text, because LiteLLM's id is a free string: an id that is no uuid would otherwise
-- raise an error for everybody.
set local check_function_bodies = off;
create or replace function tollgate.get_org_role(p_organization_id uuid) returns text
  language sql stable security definer set search_path = pg_catalog, pg_temp
  as $body$
      select case m.user_role when 'org_admin' then 'admin' when 'internal_user' then 'member' when 'internal_user_viewer' then 'viewer' end
        from public."LiteLLM_OrganizationMembership" m
        where m.organization_id = p_organization_id::text and m.user_id = tollgate.uid()
    $body$;
set local check_function_bodies = on;

-- The source of memberships: the word that configurations use.
create or replace function tollgate.membership_source() returns text language sql immutable parallel safe
  return 'litellm';
