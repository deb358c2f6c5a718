-- Becomes the role that changes the accepted keys, until the end of the transaction. Keys are parameters, and
-- parameters of slow or failed statements may be logged, so this turns that off if the user has the right.
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
