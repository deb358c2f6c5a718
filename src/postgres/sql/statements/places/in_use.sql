-- The organizations that are in use here. No parameters.
select organization_id from tollgate.organizations where placement = 'row' order by organization_id
