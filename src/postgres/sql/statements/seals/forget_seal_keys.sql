-- Deletes all accepted keys. Takes no parameters.
delete from tollgate.seal_keys
