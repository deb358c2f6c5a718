-- Gives back the holds of calls for which no client waits any more, and returns how many of the holds were open.
create or replace function tollgate.give_back(p_organization_id uuid, p_claims text, p_request_ids uuid[]) returns integer
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform tollgate.enter(p_organization_id, p_claims);
  perform set_config('synchronous_commit', 'off', true);
  perform from tollgate.credit_balances where organization_id = p_organization_id for update;
  perform tollgate.stay(p_organization_id);
  return tollgate.expire_holds(p_organization_id, coalesce(p_request_ids, '{}'), cardinality(p_request_ids));
end $$;
