-- The person: the token's `sub`, as text, because its form differs between issuers.
create or replace function tollgate.uid() returns text language sql stable parallel safe
  return tollgate.jwt() ->> 'sub';
