-- Whether this session hears: behind a pooler it may be another one than the one that began to.
select 'tollgate_policy' = any (array(select pg_listening_channels()))
