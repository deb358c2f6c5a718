-- The key that was accepted last, for who may read it. Takes no parameters.
select key_id, inner_pad from tollgate.seal_keys order by created_at desc, key_id limit 1
