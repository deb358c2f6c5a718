-- Names are written out in what the catalog says of expressions, and every wait has an end.
-- Statistics on what is planned here are not worth the time.
set local search_path = pg_catalog;
set local lock_timeout = '10s';
set local statement_timeout = '60s';
set local jit = off
