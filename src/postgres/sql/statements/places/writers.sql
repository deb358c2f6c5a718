-- The transactions that have written or locked rows of this schema's tables. Those of other moves are left out, because
-- they write rows of other organizations. No parameters.
select distinct l.virtualtransaction, l.pid
  from pg_locks l
  join pg_class c on c.oid = l.relation and c.relnamespace = 'tollgate'::regnamespace
  join pg_database d on d.oid = l.database and d.datname = current_database()
  left join pg_stat_activity a on a.pid = l.pid
  where l.locktype = 'relation' and l.granted and l.mode <> 'AccessShareLock'
    and l.pid is distinct from pg_backend_pid() and a.application_name is distinct from 'tollgate move'
