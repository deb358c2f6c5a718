-- Months go by between migrations: the next two years always have their partitions. Takes no parameters.
do $partitions$
begin
  perform tollgate.extend_partitions(24);
end
$partitions$
