-- Checks that the next calls cost their usage × the price that they name.
-- $1 organization, $2 claims, $3 microseconds and $4 id of the call to begin after, or null, $5 the most calls
select calls, last_us, last_id, broken from tollgate.check_prices($1, $2, $3, $4, $5)
