-- Where memberships are read from: our own table, until `tollgate migrate` is told otherwise. It then
-- replaces `get_org_role` and this word together.
grant create on schema tollgate to tollgate_rls_helper;

create or replace function tollgate.membership_source() returns text language sql immutable parallel safe
  return 'tollgate';
revoke all on function tollgate.membership_source() from public;
grant execute on function tollgate.membership_source() to tollgate_rls_helper;

-- The source in force, and what is wrong with it: null if it can be read. For a gateway that starts.
create or replace function tollgate.check_membership(out source text, out problem text)
  language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  source := tollgate.membership_source();
  perform tollgate.get_org_role('00000000-0000-0000-0000-000000000000');
exception
  -- Theirs is a foreign table: it may go, change, or be closed to us.
  when syntax_error_or_access_rule_violation or invalid_schema_name then
    problem := sqlerrm;
end $$;
revoke all on function tollgate.check_membership() from public;
grant execute on function tollgate.check_membership() to tollgate_login;
alter function tollgate.check_membership() owner to tollgate_rls_helper;

revoke create on schema tollgate from tollgate_rls_helper;
