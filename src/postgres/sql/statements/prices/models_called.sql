-- Which of these models an organization has called in the last thirty days, among the next calls: read in slices.
-- $1 organization, $2 claims, $3 models, $4 microseconds and $5 id of the call to begin after, or null,
-- $6 the most calls
select models, calls, last_us, last_id
  from tollgate.models_called(
    $1, $2, $3, coalesce($4, (extract(epoch from clock_timestamp() - interval '30 days') * 1000000)::bigint), $5, $6)
