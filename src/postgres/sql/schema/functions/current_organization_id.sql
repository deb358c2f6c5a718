-- The organization that the claims name.
--
-- The functions that policies call have no SET clause, so that the planner can inline them. Every name in their bodies
-- is bound when they are created.
create or replace function tollgate.current_organization_id() returns uuid language sql stable parallel safe
  return nullif(tollgate.jwt() ->> 'organization_id', '')::uuid;
