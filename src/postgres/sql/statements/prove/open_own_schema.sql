-- Lets every organization have rows in an organization's own schema, for this transaction: no other session sees that,
-- and nothing is locked. No parameters.
create or replace function tollgate.only_organization() returns uuid language sql immutable parallel safe return null::uuid
