-- Becomes the one role that reads the keys of seals, until the end of the transaction.
set local role tollgate_seals
