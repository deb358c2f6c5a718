-- Expires at most `p_limit` overdue holds of one organization, and returns how many.
create or replace function tollgate.expire(p_organization_id uuid, p_claims text, p_limit integer) returns integer
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform tollgate.enter(p_organization_id, p_claims);
  perform set_config('synchronous_commit', 'off', true);
  perform from tollgate.credit_balances where organization_id = p_organization_id for update;
  perform tollgate.stay(p_organization_id);
  return tollgate.expire_holds(p_organization_id, null, p_limit);
end $$;
