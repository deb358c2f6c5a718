-- The last statement of a transaction. The transaction fails if the organization of the claims is no longer here, or if
-- it is being moved and the transaction has written. No parameters.
select tollgate.stay(o.organization_id)
  from tollgate.organizations o
  where o.organization_id = tollgate.current_organization_id()
    and (o.placement <> 'row' or (o.held_up and pg_current_xact_id_if_assigned() is not null))
