-- What the migrations make belongs to tollgate_migrator, and where it may not write, they cannot.
set role tollgate_migrator;
set search_path = tollgate, pg_temp;
