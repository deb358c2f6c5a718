-- Why LiteLLM's table is not to be read; null if it is an ordinary table of the owner whom the administrator admitted,
-- and no code of its owner runs when it is read. Reads the catalog alone.
create or replace function tollgate.litellm_problem(p_owner text) returns text
  language sql volatile set search_path = pg_catalog, pg_temp
begin atomic
  select case
           when c.oid is null then 'relation public."LiteLLM_OrganizationMembership" does not exist'
           when c.relkind <> 'r' or c.relrowsecurity or c.relhasrules
             -- The planner computes constant calls in conditions and expressions.
             or exists (select from pg_index i where i.indrelid = c.oid and (i.indpred is not null or i.indexprs is not null))
             or exists (select from pg_constraint k where k.conrelid = c.oid and k.contype = 'c')
             or exists (select from pg_statistic_ext s where s.stxrelid = c.oid and s.stxexprs is not null)
             or (select count(*) from pg_attribute a
                   where a.attrelid = c.oid and a.attname in ('user_id', 'organization_id', 'user_role') and not a.attisdropped
                     and a.attgenerated = '' and a.atttypid in ('text'::regtype, 'varchar'::regtype)) <> 3
             then 'public."LiteLLM_OrganizationMembership" is no ordinary table with the text columns user_id, organization_id and user_role'
           when pg_get_userbyid(c.relowner) is distinct from p_owner
             then format('public."LiteLLM_OrganizationMembership" belongs to %s, and not to %s', pg_get_userbyid(c.relowner), p_owner)
         end
    from (values (to_regclass('public."LiteLLM_OrganizationMembership"'))) as named (oid)
    left join pg_class c on c.oid = named.oid;
end;
