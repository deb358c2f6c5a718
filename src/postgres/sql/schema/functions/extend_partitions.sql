-- Creates the missing partitions from last month to `p_months` ahead, for every table that is partitioned by ranges of
-- time, and returns how many it has created. A call from any other time goes to the default partition. Each partition
-- has forced row security of its own and no grants: it is reached through its table or not at all.
create or replace function tollgate.extend_partitions(p_months integer default 24) returns integer
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  first date := (date_trunc('month', now() at time zone 'UTC') - interval '1 month')::date;
  parent text;
  child text;
  bounds text;
  made integer := 0;
begin
  for parent in
    select c.relname::text from pg_partitioned_table p join pg_class c on c.oid = p.partrelid
      where c.relnamespace = 'tollgate'::regnamespace and p.partstrat = 'r' order by c.relname
  loop
    for n in -1..p_months + 1 loop
      if n = -1 then
        child := parent || '_default';
        bounds := 'default';
      else
        child := parent || to_char(first + n * interval '1 month', '"_"YYYY"_"MM');
        -- These bounds fit both types of key: a timestamptz takes all of the text, and a date takes its day.
        bounds := format('for values from (%L) to (%L)',
                         to_char(first + n * interval '1 month', 'YYYY-MM-DD "00:00:00+00"'),
                         to_char(first + (n + 1) * interval '1 month', 'YYYY-MM-DD "00:00:00+00"'));
      end if;
      continue when to_regclass(format('tollgate.%I', child)) is not null;
      begin
        execute format('create table tollgate.%I partition of tollgate.%I %s', child, parent, bounds);
      exception when check_violation then
        -- A wrong clock has put rows of that month into the default partition: they stay there.
        raise warning 'partition % not made: the default partition has rows of its month', child;
        continue;
      end;
      execute format('alter table tollgate.%I enable row level security, force row level security', child);
      made := made + 1;
    end loop;
  end loop;
  return made;
end $$;
