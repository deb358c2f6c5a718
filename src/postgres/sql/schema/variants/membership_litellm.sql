-- Memberships from LiteLLM's table. membership_tollgate.sql has the same three functions for our own table; one of the
-- two files is in force. Takes no parameters.

-- The owner of LiteLLM's table, as the administrator admitted it: `litellm.owner` is set while a table is admitted, and
-- at no other time. A migration keeps the owner.
do $owner$
declare
  admitted constant text := nullif(current_setting('litellm.owner', true), '');
begin
  if admitted is not null or to_regprocedure('tollgate.membership_owner()') is null then
    execute format('create or replace function tollgate.membership_owner() returns text language sql immutable parallel safe as %L',
                   format('select %L::text', admitted));
  end if;
end
$owner$;

-- The role of a person in an organization, whoever asks.
--
-- LiteLLM's table is not ours. A view in its place, or a condition of its row security, index or check, would be run as
-- whoever reads it. So `role_by_litellm` reads the table as a role that can do nothing else, and only while it is an
-- ordinary table. The table is looked at again after it was read: whatever was read stays locked, so a table that was
-- exchanged in between is seen, and the error undoes what it did. The claims are compared for the same reason.
--
-- Volatile, so that each of the statements sees the catalog as it is, and not as it was when the query began.
create or replace function tollgate.role_in(p_organization_id uuid, p_user_id text) returns text
  language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_claims constant text := current_setting('request.jwt.claims', true);
  v_problem text;
  v_role text;
begin
  v_problem := tollgate.litellm_problem(tollgate.membership_owner());
  if v_problem is null then
    v_role := tollgate.role_by_litellm(p_organization_id, p_user_id);
    v_problem := case when current_setting('request.jwt.claims', true) is distinct from v_claims
                        then 'reading the memberships of LiteLLM changed the claims'
                      else tollgate.litellm_problem(tollgate.membership_owner()) end;
  end if;
  if v_problem is not null then
    raise exception '%', v_problem using errcode = '42809';
  end if;
  return case v_role when 'org_admin' then 'admin' when 'internal_user' then 'member' when 'internal_user_viewer' then 'viewer' end;
end $$;

-- The source of memberships: the word that configurations use.
create or replace function tollgate.membership_source() returns text language sql immutable parallel safe
  return 'litellm';
