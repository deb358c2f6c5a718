-- The window of a statement of account, and the balances at its ends.
-- $1 organization, $2 claims, $3 from and $4 until as text; null is now
select name, time_zone, from_us, until_us, final, opening_seq, opening_posted, opening_held, opening_debt,
       closing_seq, closing_posted, closing_held, closing_debt
  from tollgate.account_window_as_platform($1, $2, $3, $4)
