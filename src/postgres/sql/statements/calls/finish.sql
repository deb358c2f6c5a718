-- Writes the finishes of calls: settlement, usage and record, once for each call. One row for each call, in their
-- order.
-- $1 organization, $2 claims, $3 requests, $4 their arrival in milliseconds, $5 users, $6 teams, $7 keys,
-- $8 nano-dollars or null where nothing was held, $9 tokens, $10 prices, $11 mark-ups, $12 whether it is a release,
-- $13 the callers' request ids, $14 endpoints, $15 models, $16 who answered, $17 providers, $18 stream,
-- $19 endings, $20 statuses, $21 input, $22 read from cache, $23 and $24 written to cache (5 min, 1 h),
-- $25 output, $26 reasoning, $27 estimated, $28 clamped, $29 latency and $30 first byte in milliseconds,
-- $31 whether there is a record, $32 its request, $33 its response, $34 whether that was cut
select charged, debt, replayed
  from tollgate.finish($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
                       $25, $26, $27, $28, $29, $30, $31, $32, $33, $34)
