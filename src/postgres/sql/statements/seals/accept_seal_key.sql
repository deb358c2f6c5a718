-- Accepts a key, if it is not accepted yet.
-- $1 its id, $2 inner pad, $3 outer pad
insert into tollgate.seal_keys (key_id, inner_pad, outer_pad) values ($1, $2, $3) on conflict do nothing
