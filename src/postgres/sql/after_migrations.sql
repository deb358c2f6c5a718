-- The gateway's login reads which migrations are there, to say whether it is ready.
revoke all on tollgate.schema_history from public;
grant select on tollgate.schema_history to tollgate_login;
