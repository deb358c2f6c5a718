-- Puts the claims into force for this transaction. Refuses claims that have no valid seal where one is needed, and
-- claims that name another organization.
--
-- The functions of tollgate_ledger begin with it. Row security binds that role: it sees the organization of the claims
-- and nothing else.
create or replace function tollgate.enter(p_organization_id uuid, p_claims text) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if nullif(tollgate.verified(p_claims) ->> 'organization_id', '')::uuid is distinct from p_organization_id or p_organization_id is null then
    raise exception 'the claims name another organization' using errcode = '42501';
  end if;
  perform set_config('request.jwt.claims', p_claims, true);
  -- Supabase's reader prefers this older setting, so it must be empty.
  perform set_config('request.jwt.claim', '', true);
end $$;
