-- Everything that the catalog says about a schema, one line for each fact: schemas with the same lines are the same.
-- $1 the schema's name
with
space as (select * from pg_namespace where nspname = $1),
relation as (select c.* from pg_class c join space on c.relnamespace = space.oid where c.relkind not in ('i', 'I', 'c')),
fact (kind, said) as (
  select 'schema', format('belongs to %s', nspowner::regrole) from space
  union all
  select 'schema', format('%s may %s%s', case a.grantee when 0 then 'public' else a.grantee::regrole::text end, a.privilege_type, case when a.is_grantable then ' and hand it on' else '' end)
    from space cross join lateral aclexplode(coalesce(nspacl, acldefault('n', nspowner))) a
  union all
  select 'relation', format('%s: %s, of %s, persistence %s, row security %s%s, options %s, identity %s, partition %s of %s, comment %s',
                            relname, relkind, relowner::regrole, relpersistence, relrowsecurity, case when relforcerowsecurity then ' and forced' else '' end,
                            reloptions, relreplident, coalesce(pg_get_expr(relpartbound, oid), pg_get_partkeydef(oid)),
                            (select i.inhparent::regclass from pg_inherits i where i.inhrelid = relation.oid), obj_description(oid, 'pg_class'))
    from relation
  union all
  select 'right', format('%s: %s may %s%s', t.relname, case a.grantee when 0 then 'public' else a.grantee::regrole::text end, a.privilege_type, case when a.is_grantable then ' and hand it on' else '' end)
    from relation t cross join lateral aclexplode(coalesce(t.relacl, acldefault(case t.relkind when 'S' then 's' else 'r' end::"char", t.relowner))) a
  union all
  select 'right', format('%s.%s: %s may %s%s', t.relname, c.attname, case a.grantee when 0 then 'public' else a.grantee::regrole::text end, a.privilege_type, case when a.is_grantable then ' and hand it on' else '' end)
    from relation t join pg_attribute c on c.attrelid = t.oid cross join lateral aclexplode(c.attacl) a
  union all
  select 'column', format('%s.%s is number %s: %s, collation %s, not null %s, identity %s, generated %s, default %s, storage %s, statistics %s, comment %s',
                          t.relname, a.attname, row_number() over (partition by t.oid order by a.attnum), format_type(a.atttypid, a.atttypmod),
                          nullif(a.attcollation, 0)::regcollation, a.attnotnull, a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid), a.attstorage, nullif(a.attstattarget, -1),
                          col_description(t.oid, a.attnum))
    from relation t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = t.oid and d.adnum = a.attnum
  union all
  select 'constraint', format('%s.%s: %s, valid %s, deferred %s, local %s', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid), k.convalidated, k.condeferred, k.conislocal)
    from pg_constraint k join space on k.connamespace = space.oid
  union all
  select 'index', format('%s, valid %s, options %s', pg_get_indexdef(i.indexrelid), i.indisvalid, c.reloptions)
    from pg_index i join relation t on t.oid = i.indrelid join pg_class c on c.oid = i.indexrelid
  union all
  select 'policy', format('%s.%s: %s, verb %s, for %s, using %s, with check %s', t.relname, p.polname, case when p.polpermissive then 'permissive' else 'restrictive' end,
                          p.polcmd, array(select case r when 0 then 'public' else r::regrole::text end from unnest(p.polroles) r order by 1),
                          pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
    from pg_policy p join relation t on t.oid = p.polrelid
  union all
  select 'function', format(E'%s of %s\n%s', p.oid::regprocedure, p.proowner::regrole, pg_get_functiondef(p.oid))
    from pg_proc p join space on p.pronamespace = space.oid where p.prokind in ('f', 'p')
  union all
  select 'function', format('%s: %s may %s%s', p.oid::regprocedure, case a.grantee when 0 then 'public' else a.grantee::regrole::text end, a.privilege_type, case when a.is_grantable then ' and hand it on' else '' end)
    from pg_proc p join space on p.pronamespace = space.oid cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
  union all
  select 'trigger', pg_get_triggerdef(g.oid) from pg_trigger g join relation t on t.oid = g.tgrelid where not g.tgisinternal
  union all
  select 'rule', pg_get_ruledef(w.oid) from pg_rewrite w join relation t on t.oid = w.ev_class
  union all
  select 'statistics', pg_get_statisticsobjdef(s.oid) from pg_statistic_ext s join space on s.stxnamespace = space.oid
  union all
  select 'type', t.typname::text from pg_type t join space on t.typnamespace = space.oid where t.typrelid = 0 and t.typelem = 0
  union all
  select 'default right', format('what %s makes of kind %s: %s may %s', d.defaclrole::regrole, d.defaclobjtype, case a.grantee when 0 then 'public' else a.grantee::regrole::text end, a.privilege_type)
    from pg_default_acl d cross join lateral aclexplode(d.defaclacl) a where d.defaclnamespace in (0, (select oid from space))
)
select kind || ' ' || said as fact from fact order by kind collate "C", said collate "C"
