-- With this search path the catalog writes expressions with qualified names. Every wait has a time-out. Compiling these
-- queries would take longer than it saves.
set local search_path = pg_catalog;
set local lock_timeout = '10s';
set local statement_timeout = '60s';
set local jit = off
