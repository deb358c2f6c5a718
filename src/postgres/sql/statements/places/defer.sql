-- Defers constraints, because tables that reference each other are filled and emptied in one transaction. No
-- parameters.
set constraints all deferred
