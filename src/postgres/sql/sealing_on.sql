-- Claims must be sealed from now on. Runs as tollgate_migrator; the keys come in the same transaction. Takes no
-- parameters.
create or replace function tollgate.verified(p_claims text) returns jsonb language sql stable parallel safe
  return tollgate.unsealed(p_claims);
create or replace function tollgate.jwt() returns jsonb language sql stable parallel safe
  return tollgate.verified(current_setting('request.jwt.claims', true));
create or replace function tollgate.sealing() returns boolean language sql stable parallel safe
  as 'select true';
