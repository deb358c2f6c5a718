-- How many tables and policies there are, and the server's version. No parameters.
select (select count(*) from pg_class where relnamespace = 'tollgate'::regnamespace and relkind in ('r', 'p')),
       (select count(*) from pg_policy p join pg_class c on c.oid = p.polrelid where c.relnamespace = 'tollgate'::regnamespace),
       current_setting('server_version_num')::integer
