-- As `account_window`, for the operator.
create or replace function tollgate.account_window_as_platform(p_organization_id uuid, p_claims text, p_from text, p_until text)
  returns table (name text, time_zone text, from_us bigint, until_us bigint, final boolean,
                 opening_seq bigint, opening_posted bigint, opening_held bigint, opening_debt bigint,
                 closing_seq bigint, closing_posted bigint, closing_held bigint, closing_debt bigint)
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform tollgate.enter_as_platform(p_organization_id, p_claims);
  return query select * from tollgate.account_window(p_organization_id, p_from, p_until);
end $$;
