-- Adds credits; a debt is paid first. A repeated reference changes nothing; the same reference with another amount is
-- refused (TG409). The claims must name the organization and the platform role.
create or replace function tollgate.grant_credits(p_organization_id uuid, p_claims text, p_amount bigint, p_reference text,
  out posted bigint, out held bigint, out debt bigint, out replayed boolean)
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  b tollgate.credit_balances;
  v_before bigint;
  v_debt_paid bigint;
begin
  if p_amount is null or p_amount <= 0 then
    raise exception 'a grant is more than nothing' using errcode = '22023';
  end if;
  perform tollgate.enter_as_platform(p_organization_id, p_claims);
  select * into b from tollgate.credit_balances where organization_id = p_organization_id for update;
  perform tollgate.stay(p_organization_id);
  if b.organization_id is null then
    raise exception 'no such organization' using errcode = 'TG404';
  end if;
  replayed := false;
  if p_reference is not null then
    select l.d_posted - l.d_debt into v_before from tollgate.credit_ledger l
      where l.organization_id = p_organization_id and l.reference = p_reference;
    replayed := found;
    if replayed and v_before <> p_amount then
      raise exception 'the reference stands for another amount' using errcode = 'TG409';
    end if;
  end if;
  if not replayed then
    v_debt_paid := least(b.debt, p_amount);
    update tollgate.credit_balances as c
      set posted = c.posted + p_amount - v_debt_paid, debt = c.debt - v_debt_paid, seq = c.seq + 1
      where c.organization_id = p_organization_id
      returning * into b;
    insert into tollgate.credit_ledger (organization_id, seq, kind, reference, d_posted, d_held, d_debt, posted_after, held_after, debt_after)
      values (p_organization_id, b.seq, 'grant', p_reference, p_amount - v_debt_paid, 0, -v_debt_paid, b.posted, b.held, b.debt);
  end if;
  posted := b.posted;
  held := b.held;
  debt := b.debt;
end $$;
