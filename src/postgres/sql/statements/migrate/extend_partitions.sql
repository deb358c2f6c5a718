-- Creates the partitions of the next two years, because months may pass between migrations. Takes no parameters.
do $partitions$
begin
  perform tollgate.extend_partitions(24);
end
$partitions$
