-- Memberships from our own table. membership_litellm.sql has the same three functions for LiteLLM's table; one of the
-- two files is in force. Takes no parameters.

-- The owner of the table, where it is not ours.
create or replace function tollgate.membership_owner() returns text language sql immutable parallel safe
  as 'select null::text';

-- The role of a person in an organization, whoever asks. The body is a string, which is not bound to the table: the
-- table's policies ask for roles, and so depend on this function.
create or replace function tollgate.role_in(p_organization_id uuid, p_user_id text) returns text
  language sql stable security definer set search_path = pg_catalog, pg_temp
  as 'select role from tollgate.memberships where organization_id = p_organization_id and user_id = p_user_id';

-- The source of memberships: the word that configurations use.
create or replace function tollgate.membership_source() returns text language sql immutable parallel safe
  return 'tollgate';
