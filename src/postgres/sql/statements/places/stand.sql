-- Writes where the organization is, seen from here. The operator's kill switch is where the rows are: the directory has
-- none for an organization in another place. The place that the organization leaves keeps the switch, for a move that
-- is undone.
-- $1 organization, $2 placement, $3 place, $4 where it is being moved, $5 where rows of it are left, $6 held up
update tollgate.organizations
  set placement = $2, place = $3, moving_to = $4, moved_from = $5, held_up = $6,
      suspended = suspended and $2 in ('row', 'elsewhere'),
      suspended_reason = case when $2 in ('row', 'elsewhere') then suspended_reason end
  where organization_id = $1
  returning organization_id
