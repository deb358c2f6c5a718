-- The organization of the claims that `enter` has put into force. Verifies nothing: `enter` has verified the claims
-- once for all statements of the function, and only such a function acts as tollgate_ledger.
create or replace function tollgate.entered_organization_id() returns uuid language sql stable parallel safe
  return nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'organization_id', '')::uuid;
