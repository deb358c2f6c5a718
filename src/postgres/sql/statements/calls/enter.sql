-- Puts claims and role into force until the end of the transaction.
-- $1: the verified claims, as JSON text. $2: the role.
select set_config('request.jwt.claims', $1, true), set_config('role', $2, true)
