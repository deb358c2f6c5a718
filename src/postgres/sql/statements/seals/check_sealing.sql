-- Whether claims must be sealed, whether these are accepted, and in how many milliseconds their seal expires.
-- $1 sealed claims
select sealing, accepted, expires_in_ms from tollgate.check_sealing($1)
