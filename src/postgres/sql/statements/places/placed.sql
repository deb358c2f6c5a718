-- Every organization whose rows are not in the shared tables, and where they are. No parameters.
select organization_id, placement, place from tollgate.organizations where placement <> 'row' order by organization_id
