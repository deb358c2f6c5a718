-- Whether the next calls cost what their usage comes to by the prices they name.
-- $1 organization, $2 claims, $3 microseconds and $4 id of the call after which, or null, $5 how many
select calls, last_us, last_id, broken from tollgate.check_prices($1, $2, $3, $4, $5)
