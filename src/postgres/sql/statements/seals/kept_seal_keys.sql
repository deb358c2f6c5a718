-- The accepted keys, the newest first, for the role that may read them. Takes no parameters.
select key_id, inner_pad from tollgate.seal_keys order by created_at desc, key_id
