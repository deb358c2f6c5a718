-- Sets a budget. A null figure keeps the old cap, and -1 removes the cap. Returns one row if the organization is here:
-- the budget as it is now. The next hold uses it.
-- $1 organization, $2 scope, $3 id in the scope, $4 day or month, $5 tokens, $6 nano-dollars
insert into tollgate.budgets as b (organization_id, scope, scope_id, window_kind, tokens_max, credits_max, updated_by)
  -- The old caps are filled in here, too: a row without a cap would be refused before the conflict makes it an update.
  select o.organization_id, $2, $3, $4, nullif(coalesce($5::bigint, l.tokens_max), -1), nullif(coalesce($6::bigint, l.credits_max), -1), tollgate.uid()
    from tollgate.organizations o
    left join tollgate.budgets l on l.organization_id = o.organization_id and l.scope = $2 and l.scope_id = $3 and l.window_kind = $4
    where o.organization_id = $1
  on conflict (organization_id, scope, scope_id, window_kind) do update set
    tokens_max = excluded.tokens_max, credits_max = excluded.credits_max, updated_at = clock_timestamp(), updated_by = excluded.updated_by
  returning b.tokens_max, b.credits_max
