-- The keys that are accepted, the newest first, for who may read them. Takes no parameters.
select key_id, inner_pad from tollgate.seal_keys order by created_at desc, key_id
