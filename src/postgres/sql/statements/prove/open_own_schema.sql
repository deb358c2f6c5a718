-- Lets every organization have rows in a schema of one's own, for this transaction: nobody else sees it, and nothing
-- is locked. No parameters.
create or replace function tollgate.only_organization() returns uuid language sql immutable parallel safe return null::uuid
