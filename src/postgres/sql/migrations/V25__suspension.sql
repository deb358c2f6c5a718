-- Why the operator has suspended an organization, for its people to read.
alter table tollgate.organizations add column if not exists suspended_reason text;
do $rights$
begin
  perform tollgate.allow('organizations', 'platform', 'update', 'suspended_reason');
end
$rights$;
