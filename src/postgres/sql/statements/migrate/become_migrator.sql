-- Migrations run as tollgate_migrator: it owns what they create, and they can write only where it may.
set role tollgate_migrator;
set search_path = tollgate, pg_temp;
