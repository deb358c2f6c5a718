-- Makes everything durable that was committed before on this server, at the price of one small
-- record: it has a transaction of its own, whose synchronous commit waits for the flush.
select pg_logical_emit_message(true, 'tollgate', '')
