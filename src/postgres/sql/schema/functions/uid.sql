-- The person: the token's `sub`, as text, because issuers do not agree on more.
create or replace function tollgate.uid() returns text language sql stable parallel safe
  return tollgate.jwt() ->> 'sub';
