-- Whether this session listens: behind a pooler it may be another session than the one that began to listen.
select 'tollgate_policy' = any (array(select pg_listening_channels()))
