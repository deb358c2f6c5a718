-- The claims under a valid seal; null if there are no claims; otherwise an error without detail. Digests of the seal's
-- digits are compared, so that the time of the comparison tells nothing about the digits.
--
-- The seal is the first member of the claims, so that claims stay one text:
--   {"tollgate_seal":"v1.<key id>.<expires, in milliseconds>.<64 hex digits>", and the rest
-- The digits are HMAC-SHA256 over `v1.<key id>.<expires>.` and everything behind the member.
create or replace function tollgate.unsealed(p_claims text) returns jsonb
  language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_inner bytea;
  v_outer bytea;
  v_now bigint;
begin
  if p_claims is null or p_claims = '' then
    return null;
  end if;
  select s.inner_pad, s.outer_pad into v_inner, v_outer from tollgate.seal_keys s where s.key_id = substr(p_claims, 22, 8);
  v_now := extract(epoch from statement_timestamp()) * 1000;
  -- The parts that the digest does not cover are checked here. Times have thirteen digits until the year 2286.
  if found
    and left(p_claims, 21) = '{"tollgate_seal":"v1.' and substr(p_claims, 109, 1) = '"'
    and substr(p_claims, 31, 13) collate "C" between v_now::text and (v_now + 300000)::text
    and sha256(convert_to(encode(sha256(v_outer || sha256(v_inner || convert_to(substr(p_claims, 19, 26) || substr(p_claims, 110), 'UTF8'))), 'hex'), 'UTF8'))
        = sha256(convert_to(substr(p_claims, 45, 64), 'UTF8'))
  then
    return ('{' || substr(p_claims, case substr(p_claims, 110, 1) when ',' then 111 else 110 end))::jsonb;
  end if;
  raise exception 'the claims have no valid seal' using errcode = '28000';
end $$;
