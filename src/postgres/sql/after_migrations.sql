-- The gateway's login reads which migrations are there, to say whether it is ready.
revoke all on tollgate.schema_history from public;
grant select on tollgate.schema_history to tollgate_login;

-- Months go by between migrations: the next two years always have their partitions.
do $partitions$
begin
  if to_regprocedure('tollgate.extend_partitions(integer)') is not null then
    perform tollgate.extend_partitions(24);
  end if;
end
$partitions$;

-- Tables that came with these migrations are moved with their organizations, as all others.
do $mover$
begin
  if to_regprocedure('tollgate.admit_mover()') is not null then
    perform tollgate.admit_mover();
  end if;
end
$mover$;
