-- The role that changes what is accepted, until the end of the transaction. Keys are parameters, and parameters of
-- slow or failed statements may be logged: not these, where this user has a say in it.
do $quiet$
begin
  perform set_config('log_statement', 'none', true), set_config('log_min_duration_statement', '-1', true),
          set_config('log_min_duration_sample', '-1', true), set_config('log_duration', 'off', true),
          set_config('log_parameter_max_length', '0', true), set_config('log_parameter_max_length_on_error', '0', true);
exception when insufficient_privilege then
  null;
end
$quiet$;
set local role tollgate_migrator
