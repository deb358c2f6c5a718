-- No key is accepted any more. Takes no parameters.
delete from tollgate.seal_keys
