-- The source of memberships in force, and what is wrong with it; `problem` is null if the source can be read. A gateway
-- asks when it starts.
create or replace function tollgate.check_membership(out source text, out problem text)
  language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  source := tollgate.membership_source();
  perform tollgate.role_in('00000000-0000-0000-0000-000000000000', '');
exception
  -- The source may be LiteLLM's table, which may be dropped, exchanged, or closed to us.
  when syntax_error_or_access_rule_violation or invalid_schema_name then
    problem := sqlerrm;
end $$;
