-- Whether claims must be sealed, whether these sealed claims are accepted, and in how many milliseconds their seal
-- expires by the database's clock. A gateway asks when it starts.
create or replace function tollgate.check_sealing(p_sealed text, out sealing boolean, out accepted boolean, out expires_in_ms bigint)
  language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  sealing := tollgate.sealing();
  if substr(p_sealed, 31, 13) ~ '^[0-9]{13}$' then
    expires_in_ms := substr(p_sealed, 31, 13)::bigint - (extract(epoch from statement_timestamp()) * 1000)::bigint;
  end if;
  perform tollgate.unsealed(p_sealed);
  accepted := true;
exception when invalid_authorization_specification then
  accepted := false;
end $$;
