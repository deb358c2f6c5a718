-- The settings of a session that moves an organization. Rows are copied as text, so both sides must write it alike.
set datestyle = 'ISO, YMD';
set intervalstyle = 'postgres';
set timezone = 'UTC';
set bytea_output = 'hex';
set extra_float_digits = 1;
set lock_timeout = '5s';
set statement_timeout = 0;
set idle_in_transaction_session_timeout = 0;
set synchronous_commit = on;
set client_connection_check_interval = '1s'
