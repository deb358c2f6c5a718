-- The word of LiteLLM's table for a person's role. Runs as a role that may read three columns of that table and nothing
-- else: whoever owns the table can make its reader run code. Only `role_in` calls it, after a look at the table.
--
-- Bodies of this language are read when they run, so the table may be missing. ONLY, because a child table can be a
-- foreign one. Ids are compared as text, because LiteLLM's id is a free string: an id that is no uuid would otherwise
-- raise an error for everybody.
create or replace function tollgate.role_by_litellm(p_organization_id uuid, p_user_id text) returns text
  language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  return (select m.user_role from only public."LiteLLM_OrganizationMembership" m
            where m.organization_id = p_organization_id::text and m.user_id = p_user_id);
end $$;
