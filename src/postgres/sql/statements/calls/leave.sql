-- The last statement of a transaction: fails it where the organization of the claims has moved away from here, or
-- is being moved and something was written. No parameters.
select tollgate.stay(o.organization_id)
  from tollgate.organizations o
  where o.organization_id = tollgate.current_organization_id()
    and (o.placement <> 'row' or (o.held_up and pg_current_xact_id_if_assigned() is not null))
