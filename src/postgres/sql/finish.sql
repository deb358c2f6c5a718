-- Writes the end of a call: settlement, usage and record, once.
-- $1 organization, $2 claims, $3 request, $4 its arrival in milliseconds,
-- $5 nano-dollars or null where nothing was held, $6 tokens, $7 price, $8 whether it is a release,
-- $9 the caller's request id, $10 endpoint, $11 model, $12 who answered, $13 provider, $14 stream,
-- $15 ending, $16 status, $17 input, $18 read from cache, $19 and $20 written to cache (5 min, 1 h),
-- $21 output, $22 reasoning, $23 estimated, $24 clamped, $25 latency and $26 first byte in milliseconds,
-- $27 whether there is a record, $28 its request, $29 its response, $30 whether that was cut
select charged, debt, replayed
  from tollgate.finish($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
                       $21, $22, $23, $24, $25, $26, $27, $28, $29, $30)
