-- The last movement of a ledger before a moment; 0 if there is none. Runs with the caller's rights.
--
-- The ledger is in the order of time, so this is a binary search. Its bounds do not depend on how long the ledger is
-- now: two windows that meet get the same answer at their common end, forever.
create or replace function tollgate.ledger_seq_before(p_organization_id uuid, p_at timestamptz) returns bigint
  language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_before bigint := 0;
  v_from bigint := 4611686018427387904;
  v_middle bigint;
begin
  while v_from - v_before > 1 loop
    v_middle := v_before + (v_from - v_before) / 2;
    perform from tollgate.credit_ledger l
      where l.organization_id = p_organization_id and l.seq = v_middle and l.created_at < p_at;
    if found then
      v_before := v_middle;
    else
      v_from := v_middle;
    end if;
  end loop;
  return v_before;
end $$;
