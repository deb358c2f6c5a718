-- How claims are read where they count only under a seal. claims_open.sql has the same three functions for a database
-- that takes claims without a seal; one of the two files is in force. Takes no parameters.

-- The claims in a text, if their seal is valid.
create or replace function tollgate.verified(p_claims text) returns jsonb language sql stable parallel safe
  return tollgate.unsealed(p_claims);

-- The claims, from one transaction-local setting.
create or replace function tollgate.jwt() returns jsonb language sql stable parallel safe
  return tollgate.verified(current_setting('request.jwt.claims', true));

-- Whether claims must be sealed. The body is a string, which everybody can read in the catalog.
create or replace function tollgate.sealing() returns boolean language sql stable parallel safe
  as 'select true';
