-- Makes everything durable that was committed on this server before, at the cost of one small WAL record: it is a
-- transaction of its own, whose synchronous commit waits for the flush.
select pg_logical_emit_message(true, 'tollgate', '')
