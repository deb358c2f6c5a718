-- Makes a person a member, in this role.
-- $1 organization, $2 person, $3 role
insert into tollgate.memberships as m (organization_id, user_id, role)
  select o.organization_id, $2, $3 from tollgate.organizations o where o.organization_id = $1
  on conflict (organization_id, user_id) do update set role = excluded.role
  returning m.organization_id
