-- Memberships from our own table. membership_litellm.sql has the same two functions for LiteLLM's table; one of the two
-- files is in force. Takes no parameters.

-- The role of the claims' person in an organization. Runs as the one role that may read memberships past the policies,
-- which call this function.
create or replace function tollgate.get_org_role(p_organization_id uuid) returns text
  language sql stable security definer set search_path = pg_catalog, pg_temp
  as 'select role from tollgate.memberships where organization_id = p_organization_id and user_id = tollgate.uid()';

-- The source of memberships: the word that configurations use.
create or replace function tollgate.membership_source() returns text language sql immutable parallel safe
  return 'tollgate';
